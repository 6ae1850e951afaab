package dev.whence.cli;

import dev.whence.quickstart.view.DisplayText;
import dev.whence.runtime.config.Connection;
import dev.whence.runtime.dlq.DeadLetterEntry;
import dev.whence.runtime.dlq.DeadLetterFilter;
import dev.whence.runtime.dlq.DlqTool;
import dev.whence.runtime.kafka.Clients;
import java.io.PrintWriter;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.function.Function;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Dead letter queues: what is in them, and back to where it came from. */
@Command(
    name = "dlq",
    description = "Shows or replays what could not be processed.",
    mixinStandardHelpOptions = true,
    subcommands = {DlqCommand.Show.class, DlqCommand.Replay.class})
final class DlqCommand implements Runnable {
  @Spec private CommandSpec spec;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  DlqCommand() {}

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "'show' or 'replay' is missing");
  }

  /** Which queue, and which of its records. */
  static final class Selection {
    @Mixin private ConnectionOptions connection = new ConnectionOptions();

    @Option(
        names = "--topic",
        paramLabel = "T",
        defaultValue = "responses",
        description = "the source topic, with or without prefix (default: ${DEFAULT-VALUE})")
    private String topic = "responses";

    @Option(names = "--code", description = "only failures with this code")
    private Optional<String> code = Optional.empty();

    @Option(names = "--partition", description = "only of this partition of the source topic")
    private Optional<Integer> partition = Optional.empty();

    @Option(names = "--from", description = "first offset in the queue")
    private Optional<Long> from = Optional.empty();

    @Option(names = "--to", description = "last offset in the queue")
    private Optional<Long> to = Optional.empty();

    /** Shows or replays. */
    <T> T ask(Function<DlqTool, T> question) {
      String prefix = connection.topicPrefix();
      String rest = topic.startsWith(prefix) ? topic.substring(prefix.length()) : topic;
      String queue = rest.startsWith("dlq.") ? prefix + rest : prefix + "dlq." + rest;
      Connection brokers = connection.brokersOnly();
      DlqTool tool = new DlqTool(new Clients(brokers), queue);
      return ConnectionOptions.asking(brokers, () -> question.apply(tool));
    }

    /** Checked before anything is connected. */
    DeadLetterFilter filter() {
      OptionRange.atLeast("--partition", partition.orElse(0), 0);
      code.ifPresent(wanted -> OptionRange.notEmpty("--code", wanted));
      long first = from.orElse(0L);
      if (first < 0 || to.orElse(first) < first) {
        throw new UsageException(
            "--from " + first + to.map(last -> " --to " + last).orElse("") + " selects nothing");
      }
      return new DeadLetterFilter(
          code,
          partition.map(OptionalInt::of).orElseGet(OptionalInt::empty),
          from.map(OptionalLong::of).orElseGet(OptionalLong::empty),
          to.map(OptionalLong::of).orElseGet(OptionalLong::empty));
    }
  }

  /** Lists the records of a queue without their content. */
  @Command(
      name = "show",
      description = "Lists the records of a dead letter queue, without their content.",
      mixinStandardHelpOptions = true)
  static final class Show implements Callable<Integer> {
    @Spec private CommandSpec spec;
    @Mixin private Selection selection = new Selection();

    @SuppressWarnings("NullAway.Init") // picocli fills the fields
    Show() {}

    @Override
    public Integer call() {
      PrintWriter out = spec.commandLine().getOut();
      DeadLetterFilter filter = selection.filter();
      List<DeadLetterEntry> entries = selection.ask(tool -> tool.show(filter));
      out.println("offset\tcode\tsource\twritten\tattempt\tbytes\treplayed\tmessage");
      for (DeadLetterEntry entry : entries) {
        out.println(
            String.join(
                "\t",
                Long.toString(entry.offset()),
                DisplayText.clean(entry.code()),
                DisplayText.clean(entry.topic())
                    + "-"
                    + entry.partition()
                    + "@"
                    + entry.sourceOffset(),
                entry.timestamp() < 0 ? "-" : Instant.ofEpochMilli(entry.timestamp()).toString(),
                Integer.toString(entry.attempt()),
                entry.valueBytes() + (entry.omitted() ? " (only in its source)" : ""),
                entry.replayed() ? "yes" : "no",
                DisplayText.clean(entry.message())));
      }
      out.flush();
      return Whence.DONE;
    }
  }

  /** Writes records back to the topics they came from. */
  @Command(
      name = "replay",
      description = "Writes records back to the topics they came from, each of them once.",
      mixinStandardHelpOptions = true)
  static final class Replay implements Callable<Integer> {
    @Spec private CommandSpec spec;
    @Mixin private Selection selection = new Selection();

    @SuppressWarnings("NullAway.Init") // picocli fills the fields
    Replay() {}

    @Override
    public Integer call() {
      DeadLetterFilter filter = selection.filter();
      DlqTool.Replay done = selection.ask(tool -> tool.replay(filter));
      PrintWriter out = spec.commandLine().getOut();
      out.println(
          done.replayed()
              + " replayed, "
              + done.replayedBefore()
              + " had been replayed before, "
              + (done.skippedOmitted() + done.tooLarge().size() + homeless(done))
              + " can not be replayed");
      out.flush();
      PrintWriter err = spec.commandLine().getErr();
      for (DeadLetterEntry large : done.tooLarge()) {
        err.println(
            "whence: offset "
                + large.offset()
                + " of the queue, with "
                + large.valueBytes()
                + " bytes, is too large for "
                + DisplayText.clean(large.topic())
                + "; raise its max.message.bytes and replay again");
      }
      new TreeMap<>(done.homeless())
          .forEach(
              (topic, count) ->
                  err.println(
                      "whence: "
                          + count
                          + " can not be replayed: there is no topic "
                          + DisplayText.clean(topic)
                          + " on these brokers; create it and replay again"));
      if (done.skippedOmitted() > 0) {
        err.println(
            "whence: "
                + done.skippedOmitted()
                + " can not be replayed: the queue does not hold their values, or they do not say"
                + " which topic they came from; 'whence dlq show' lists them");
      }
      return done.complete() ? Whence.DONE : Whence.FAILED;
    }

    private static long homeless(DlqTool.Replay done) {
      return done.homeless().values().stream().mapToLong(Long::longValue).sum();
    }
  }
}
