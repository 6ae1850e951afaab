package dev.whence.transfer.stage;

import dev.whence.runtime.config.Settings;
import java.util.HashMap;
import java.util.Map;

/** A processor that can be killed: arguments are KEY=VALUE of its configuration. */
final class ProcessorProcess {
  private ProcessorProcess() {}

  public static void main(String[] arguments) {
    Map<String, String> settings = new HashMap<>();
    for (String argument : arguments) {
      int at = argument.indexOf('=');
      settings.put(argument.substring(0, at), argument.substring(at + 1));
    }
    System.exit(TransferProcessor.run(Settings.of(settings), Map.of()));
  }
}
