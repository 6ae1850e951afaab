package dev.whence.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.exc.StreamConstraintsException;
import com.fasterxml.jackson.databind.JsonNode;
import dev.whence.conversation.BoundedJson;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.engine.EngineException;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.correction.CorrectionSet;
import dev.whence.influence.correction.CorrectionSet.Direction;
import dev.whence.influence.correction.FlaggedAnswer;
import dev.whence.influence.index.IndexManifest;
import dev.whence.influence.query.OpenedSearch;
import dev.whence.influence.query.QueryOptions;
import dev.whence.quickstart.view.DisplayText;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code whence influence export}. */
@Command(
    name = "export",
    description = {
      "Writes the training examples behind flagged answers as a data set, for whoever corrects the"
          + " model.",
      "Its lines are those of the corpus, with a member that says why: documents for 'whence train"
          + " --corpus', conversations for 'whence train --conversations'."
    },
    mixinStandardHelpOptions = true)
final class InfluenceExportCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private InfluenceSearchOptions search = new InfluenceSearchOptions();

  @Option(
      names = "--input",
      required = true,
      paramLabel = "F.jsonl",
      description =
          "flagged answers: results of 'whence influence query --json', or responses, which are"
              + " asked now")
  private Path input;

  @Option(names = "--output", required = true, paramLabel = "F.jsonl")
  private Path output;

  @Option(
      names = "--direction",
      defaultValue = "both",
      paramLabel = "both|harmful|helpful",
      description =
          "harmful: made the answers more likely; helpful: less likely, which is what to train on"
              + " against them")
  private String direction = "both";

  @Option(
      names = "--top",
      defaultValue = "100",
      description = "examples of each direction at most (${DEFAULT-VALUE})")
  private int top;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  InfluenceExportCommand() {}

  @Override
  public Integer call() throws Exception {
    InputFile.check(input);
    QueryOptions options = InfluenceCommand.usage(() -> search.query(top, false, false));
    PrintWriter err = spec.commandLine().getErr();
    CorrectionSet.checkFree(output);
    IndexManifest index = IndexManifest.read(search.index());
    CorpusFile corpus = new CorpusFile(search.corpus().orElseGet(index.settings()::whereCorpusWas));
    // before responses are asked, which may take hours
    corpus.check(index.settings().corpusDigest());
    List<FlaggedAnswer> answers = answers(options, err);
    CorrectionSet set = CorrectionSet.of(answers, index, corpus, top).only(directions());
    set.write(output);
    err.printf(
        Locale.ROOT,
        "%d answers, %d harmful and %d helpful examples%n",
        answers.size(),
        count(set, Direction.HARMFUL),
        count(set, Direction.HELPFUL));
    spec.commandLine().getOut().println(output);
    spec.commandLine().getOut().flush();
    return Whence.DONE;
  }

  private Set<Direction> directions() {
    return switch (direction) {
      case "both" -> EnumSet.allOf(Direction.class);
      case "harmful" -> EnumSet.of(Direction.HARMFUL);
      case "helpful" -> EnumSet.of(Direction.HELPFUL);
      default ->
          throw new UsageException(
              "--direction is '" + direction + "', but must be both, harmful or helpful");
    };
  }

  private static long count(CorrectionSet set, Direction direction) {
    return set.examples().stream().filter(one -> one.direction() == direction).count();
  }

  /** Half a data set would be a wrong one: the first line that can not be read ends it. */
  private List<FlaggedAnswer> answers(QueryOptions options, PrintWriter err) throws IOException {
    List<FlaggedAnswer> answers = new ArrayList<>();
    try (Asked asked = new Asked(search, options)) {
      JsonLines.forEach(
          input,
          line -> answer(line, asked, err),
          answer -> answer.ifPresent(answers::add),
          (number, problem) -> {
            throw new InfluenceException(input + ", line " + number + ": " + problem);
          });
    }
    return answers;
  }

  /** Empty where the result says that there is none. */
  private static Optional<FlaggedAnswer> answer(String line, Asked asked, PrintWriter err) {
    JsonNode json;
    try {
      json = BoundedJson.mapper().build().readTree(line);
    } catch (StreamConstraintsException e) {
      throw new IllegalArgumentException("the line " + BoundedJson.limits(), e);
    } catch (JsonProcessingException e) {
      throw new IllegalArgumentException("the line is no JSON", e);
    }
    if (CorpusFile.isConversation(json)) {
      return Optional.of(asked.answer(line));
    }
    String status = json.path("status").asText("SCORED");
    if (!status.equals("SCORED")) {
      err.println(
          DisplayText.clean(json.path("responseId").asText() + " is " + status + " and left out"));
      return Optional.empty();
    }
    return Optional.of(FlaggedAnswer.read(json));
  }

  /** Asks the index, which is opened with the first response that needs it. */
  private static final class Asked implements AutoCloseable {
    private final InfluenceSearchOptions search;
    private final QueryOptions options;
    private @Nullable OpenedSearch opened;

    Asked(InfluenceSearchOptions search, QueryOptions options) {
      this.search = search;
      this.options = options;
    }

    FlaggedAnswer answer(String line) {
      if (opened == null) {
        opened = search.open();
      }
      Conversation response = ConversationCodec.read(line);
      try {
        return FlaggedAnswer.of(opened.search().search(response, options), options);
      } catch (EngineException | InfluenceException e) {
        throw new InfluenceException(
            "Response "
                + DisplayText.clean(response.responseId())
                + " can not be asked: "
                + e.getMessage(),
            e);
      }
    }

    @Override
    public void close() {
      if (opened != null) {
        opened.close();
      }
    }
  }
}
