package dev.whence.cli;

import dev.whence.runtime.config.Connection;
import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.topics.TopicAdmin;
import dev.whence.runtime.topics.TopicState;
import dev.whence.runtime.topics.TopicState.Kind;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/**
 * The topic catalogue against a cluster: reports drift, creates what is missing on request. A
 * report ends with 1 if anything is missing or different; a creation only if something could not be
 * had: a cluster that has more than the catalogue wants is no failure, or a deployment that begins
 * with it would never start.
 */
@Command(
    name = "topics",
    description = "Compares a cluster's topics and schemas with the catalogue, or creates them.",
    mixinStandardHelpOptions = true)
final class TopicsCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private ConnectionOptions connection = new ConnectionOptions();

  @Option(
      names = "--create",
      description =
          "creates what is missing, raises what is too small, never shrinks; ends with 0 where"
              + " there is more than the catalogue wants")
  private boolean create;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  TopicsCommand() {}

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    PrintWriter err = spec.commandLine().getErr();
    Connection cluster = connection.registryWhereNamed();
    TopicAdmin admin = new TopicAdmin(new Clients(cluster), connection.topics().all());
    List<TopicState> states =
        ConnectionOptions.asking(cluster, create ? admin::create : admin::report);
    int width = states.stream().mapToInt(state -> state.name().length()).max().orElse(0);
    for (TopicState state : states) {
      out.printf(
          Locale.ROOT,
          "%-" + width + "s  %-9s  %s%n",
          state.name(),
          word(state),
          Failure.oneLine(state.detail()));
    }
    out.flush();
    if (cluster.registryUrl().isEmpty()) {
      err.println("whence: only topics; --schema-registry U has their schemas looked at, too");
    }
    long missing = count(states, Kind.MISSING);
    long refused = count(states, Kind.REFUSED);
    long drift = count(states, Kind.DRIFT);
    if (!create && missing + drift > 0) {
      err.println(
          "whence: "
              + missing
              + " missing and "
              + drift
              + " different from the catalogue (see the list); --create creates what is missing and"
              + " raises what is too small");
      return Whence.FAILED;
    }
    if (refused > 0) {
      err.println(
          "whence: "
              + refused
              + " refused (see the list for the reasons; all else is done): what exceeds a provider's"
              + " limit is to be raised there; how a topic's records are cleaned up is not changed"
              + " here, set it with kafka-configs.sh once you know that no record is lost by it");
      return Whence.FAILED;
    }
    if (drift > 0) {
      err.println("whence: " + drift + " different from the catalogue and left so (see the list)");
    }
    return Whence.DONE;
  }

  private static long count(List<TopicState> states, Kind kind) {
    return states.stream().filter(state -> state.kind() == kind).count();
  }

  private static String word(TopicState state) {
    return state.kind().name().toLowerCase(Locale.ROOT).replace('_', ' ');
  }
}
