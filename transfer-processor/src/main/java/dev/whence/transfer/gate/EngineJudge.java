package dev.whence.transfer.gate;

import com.fasterxml.jackson.databind.JsonNode;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.conversation.ConversationFormatException;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.Trunk;
import dev.whence.engine.text.RenderedPrompt;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.engine.weights.UntrustedJson;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.transfer.TransferException;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * The engine's own scoring: {@code -sum log p / number of scored tokens} over all lines of a set,
 * in nats per token. A line with {@code messages} and {@code response} is a conversation, of which
 * the response is scored, and the end token if it ended by itself, and so is one with a raw {@code
 * prompt}; another line has a {@code text}, which is scored from its second token on. A line of
 * which nothing is scored is refused. Each model reads with its own tokenizer and template.
 */
public final class EngineJudge implements Judge {
  private final EngineOptions options;

  /** What one line is worth. */
  private record Scored(int tokens, double nats) {}

  public EngineJudge(EngineOptions options) {
    this.options = options;
  }

  @Override
  public double loss(Path model, Path set) {
    try (LocalScorer scorer = LocalScorer.open(ModelFiles.open(model), options);
        BufferedReader lines = Files.newBufferedReader(set)) {
      double nats = 0;
      long tokens = 0;
      int number = 0;
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        number++;
        if (!line.isBlank()) {
          Scored scored = scored(scorer, model, set, number, line);
          nats += scored.nats();
          tokens += scored.tokens();
        }
      }
      if (tokens == 0) {
        throw new TransferException(set + " has nothing to score");
      }
      return nats / tokens;
    } catch (IOException e) {
      throw new TransferException(set + " can not be read: " + e, e);
    } catch (EngineException e) {
      throw failure(model + " can not be run: " + e.getMessage(), e);
    } catch (OutOfMemoryError e) {
      String why = model + " can not be run: the process has not enough memory now";
      throw new TransferException(why, new EnvironmentException(why, e));
    }
  }

  private static Scored scored(LocalScorer scorer, Path model, Path set, int number, String line) {
    try {
      JsonNode json = UntrustedJson.mapper().readTree(line);
      boolean isText = json.path("text").isTextual() && !json.hasNonNull("messages");
      Scored scored =
          isText
              ? text(scorer, json.path("text").textValue())
              : conversation(scorer, ConversationCodec.read(line));
      if (scored.tokens() == 0) {
        throw new TransferException(
            set + ", line " + number + " has no token that " + model + " could be scored by");
      }
      return scored;
    } catch (IOException | IllegalArgumentException | ConversationFormatException e) {
      throw new TransferException(
          set + ", line " + number + " is neither a conversation nor an object with a text", e);
    } catch (EngineException e) {
      throw failure(
          set + ", line " + number + " can not be scored by " + model + ": " + e.getMessage(), e);
    }
  }

  /** A device that fails and memory that does not suffice say nothing of the models. */
  static TransferException failure(String why, EngineException e) {
    if (e.isDeviceLost()) {
      return new TransferException(why, EnvironmentException.ofProcess(why, e));
    }
    return new TransferException(why, e.isOutOfMemory() ? new EnvironmentException(why, e) : e);
  }

  private static Scored conversation(LocalScorer scorer, Conversation conversation) {
    RenderedPrompt prompt = scorer.template().render(conversation);
    int[] before = scorer.tokenizer().encode(prompt.text()).ids();
    int[] answer =
        scorer.tokenizer().encodeContinuation(prompt.text(), conversation.response()).ids();
    int end =
        "stop".equals(conversation.finishReason()) && !prompt.endToken().isEmpty()
            ? scorer.tokenizer().idOf(prompt.endToken())
            : -1;
    int[] tokens =
        IntStream.concat(
                IntStream.concat(Arrays.stream(before), Arrays.stream(answer)),
                end >= 0 ? IntStream.of(end) : IntStream.empty())
            .toArray();
    return run(scorer, tokens, Math.max(1, before.length));
  }

  private static Scored text(LocalScorer scorer, String text) {
    return run(scorer, scorer.tokenizer().encode(text).ids(), 1);
  }

  private static Scored run(LocalScorer scorer, int[] tokens, int scoredFrom) {
    if (tokens.length <= scoredFrom) {
      return new Scored(0, 0);
    }
    try (Trunk trunk = scorer.trunk(tokens, scoredFrom)) {
      return new Scored(tokens.length - scoredFrom, -Arrays.stream(trunk.logProbs()).sum());
    }
  }
}
