package dev.whence.cli;

import dev.whence.runtime.kafka.Clients;
import dev.whence.runtime.topics.TopicAdmin;
import dev.whence.runtime.topics.TopicState;
import dev.whence.runtime.topics.TopicState.Kind;
import dev.whence.schemas.Topics;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** The topic catalogue against a cluster: reports drift, creates what is missing on request. */
@Command(
    name = "topics",
    description = "Compares a cluster's topics and schemas with the catalogue, or creates them.",
    mixinStandardHelpOptions = true)
final class TopicsCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private ConnectionOptions connection = new ConnectionOptions();

  @Option(
      names = "--create",
      description = "creates what is missing, raises what is too small, never shrinks")
  private boolean create;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  TopicsCommand() {}

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    TopicAdmin admin =
        new TopicAdmin(
            new Clients(connection.connection()), new Topics(connection.topicPrefix()).all());
    List<TopicState> states = create ? admin.create() : admin.report();
    int width = states.stream().mapToInt(state -> state.name().length()).max().orElse(0);
    for (TopicState state : states) {
      out.printf(
          Locale.ROOT, "%-" + width + "s  %-9s  %s%n", state.name(), word(state), state.detail());
    }
    out.flush();
    boolean wanted =
        states.stream().noneMatch(s -> s.kind() == Kind.MISSING || s.kind() == Kind.DRIFT);
    return wanted ? Whence.DONE : Whence.FAILED;
  }

  private static String word(TopicState state) {
    return state.kind().name().toLowerCase(Locale.ROOT).replace('_', ' ');
  }
}
