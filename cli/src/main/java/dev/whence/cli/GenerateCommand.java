package dev.whence.cli;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.engine.Answerer;
import dev.whence.engine.LocalScorer;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Answers prompts greedily and writes complete records: what {@code attribute} reads. */
@Command(
    name = "generate",
    description = "Answers the prompts of a JSONL file (greedy) and writes complete records.",
    mixinStandardHelpOptions = true)
final class GenerateCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private ModelOptions model = new ModelOptions();

  @Option(names = "--input", required = true, paramLabel = "F.jsonl")
  private Path input;

  @Option(
      names = "--max-new-tokens",
      defaultValue = "128",
      paramLabel = "N",
      description = "an answer is cut off there (default: ${DEFAULT-VALUE})")
  private int maxNewTokens;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  GenerateCommand() {}

  @Override
  public Integer call() throws Exception {
    throw new UsageException("");
  }
}
