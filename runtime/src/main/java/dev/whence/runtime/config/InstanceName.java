package dev.whence.runtime.config;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * The name of this instance, stable over restarts: it becomes part of the transactional id, and a
 * restarted process must come back with the same one, or readers stall until the old transaction
 * times out.
 */
public final class InstanceName {
  private static final Pattern STATEFUL_SET_POD = Pattern.compile("[a-z0-9.-]+-\\d+");
  private static final Pattern NAME = Pattern.compile("[A-Za-z0-9._-]{1,100}");

  private InstanceName() {}

  /**
   * Finds the name: {@code instance.id} where configured; in Kubernetes the name of a StatefulSet's
   * pod; else the one kept in the data directory, which is made up at the first start.
   *
   * @throws ConfigException if the data directory can not hold it
   */
  public static String of(RuntimeConfig config, Map<String, String> environment) {
    if (config.instanceId().isPresent()) {
      return config.instanceId().get();
    }
    String host = environment.getOrDefault("HOSTNAME", "");
    if (environment.containsKey("KUBERNETES_SERVICE_HOST")
        && STATEFUL_SET_POD.matcher(host).matches()) {
      return host;
    }
    Path file = config.dataDir().resolve("instance.id");
    try {
      return kept(file);
    } catch (IOException e) {
      throw new ConfigException(
          List.of(
              "data.dir: "
                  + file
                  + " can not be read or written ("
                  + e.getClass().getSimpleName()
                  + "); set instance.id, or data.dir to a directory that outlives the process"));
    }
  }

  private static String kept(Path file) throws IOException {
    try {
      String name = Files.readString(file).strip();
      if (NAME.matcher(name).matches()) {
        return name;
      }
      if (!name.isEmpty()) {
        throw new ConfigException(List.of(file + " does not hold an instance name; remove it"));
      }
    } catch (NoSuchFileException e) {
      return made(file);
    }
    return made(file); // empty: what a power cut left of it
  }

  private static String made(Path file) throws IOException {
    byte[] random = new byte[4];
    new SecureRandom().nextBytes(random);
    String name = "i-" + HexFormat.of().formatHex(random);
    if (file.getParent() != null) {
      Files.createDirectories(file.getParent());
    }
    Path whole = file.resolveSibling("instance.id." + name);
    try (FileChannel channel =
        FileChannel.open(whole, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      ByteBuffer bytes = ByteBuffer.wrap((name + "\n").getBytes(StandardCharsets.UTF_8));
      while (bytes.hasRemaining()) {
        channel.write(bytes);
      }
      channel.force(true); // else a power cut may leave the file under its name, and nothing in it
    }
    Files.move(whole, file, StandardCopyOption.ATOMIC_MOVE);
    return name;
  }
}
