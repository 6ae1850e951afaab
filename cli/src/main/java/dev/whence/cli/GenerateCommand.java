package dev.whence.cli;

import dev.whence.conversation.ConversationCodec;
import dev.whence.engine.Answerer;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.LocalScorer;
import dev.whence.quickstart.view.DisplayText;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicBoolean;
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

  @Option(
      names = "--input",
      required = true,
      paramLabel = "F.jsonl",
      description = "prompts, one JSON object per line; may be compressed (gzip) or a pipe")
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
    OptionRange.atLeast("--max-new-tokens", maxNewTokens, 1);
    InputFile.checkStream("--input", input);
    PrintWriter out = spec.commandLine().getOut();
    PrintWriter err = spec.commandLine().getErr();
    AtomicBoolean failed = new AtomicBoolean();
    try (LocalScorer scorer = model.open()) {
      OptionRange.check("--max-new-tokens", maxNewTokens, 1, scorer.config().maxPositions() - 1L);
      Answerer answerer = new Answerer(scorer);
      boolean clean =
          JsonLines.forEach(
              input,
              ConversationCodec::readPrompt,
              prompt -> {
                try {
                  out.println(ConversationCodec.write(answerer.answer(prompt, maxNewTokens)));
                  Results.passOn(out);
                } catch (EngineException e) {
                  if (e.kind() == Kind.MODEL || e.kind() == Kind.ENVIRONMENT) {
                    throw e;
                  }
                  failed.set(true);
                  err.println(
                      input
                          + ", response '"
                          + DisplayText.clean(prompt.responseId())
                          + "': "
                          + Failure.oneLine(Failure.sentence(e)));
                }
              },
              (number, problem) -> err.println(input + ", line " + number + ": " + problem));
      return clean && !failed.get() ? Whence.DONE : Whence.FAILED;
    }
  }
}
