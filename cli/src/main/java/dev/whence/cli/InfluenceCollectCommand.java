package dev.whence.cli;

import dev.whence.influence.corpus.TopicCorpus;
import dev.whence.runtime.kafka.Clients;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code whence influence collect}. */
@Command(
    name = "collect",
    description = {
      "Writes the training documents that a topic holds as a corpus file, for 'factors' and 'index'.",
      "A run that was cut off goes on when the same command is given again."
    },
    mixinStandardHelpOptions = true)
final class InfluenceCollectCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private ConnectionOptions connection = new ConnectionOptions();

  @Option(
      names = "--topic",
      required = true,
      paramLabel = "T",
      description = "its records are JSON: documents (\"text\") or conversations")
  private String topic;

  @Option(names = "--output", required = true, paramLabel = "F.jsonl")
  private Path output;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  InfluenceCollectCommand() {}

  @Override
  public Integer call() {
    ProgressBar bar = ProgressBar.on(spec.commandLine().getErr());
    TopicCorpus.Collected collected =
        new TopicCorpus(new Clients(connection.brokersOnly()), topic, output)
            .collect((done, all, documents) -> bar.show(done, all, documents, "documents"));
    bar.finish();
    if (collected.documents() == 0 && collected.rejected() > 0) {
      spec.commandLine()
          .getErr()
          .println(
              "whence: "
                  + Failure.oneLine(
                      output
                          + " is empty: none of the "
                          + collected.rejected()
                          + " records of topic "
                          + topic
                          + " is a document; "
                          + collected.rejects()
                          + " says why"));
      return Whence.FAILED;
    }
    bar.note(
        collected.documents()
            + " documents; "
            + collected.rejected()
            + " records that are none"
            + (collected.rejected() == 0 ? "" : ", listed in " + collected.rejects()));
    spec.commandLine().getOut().println(output);
    spec.commandLine().getOut().flush();
    return Whence.DONE;
  }
}
