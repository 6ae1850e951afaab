package dev.whence.engine.training;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.exc.StreamConstraintsException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectReader;
import dev.whence.conversation.BoundedJson;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.conversation.ConversationFormatException;
import dev.whence.conversation.LineReader;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.text.Encoding;
import dev.whence.engine.text.PromptTemplate;
import dev.whence.engine.text.RenderedPrompt;
import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.weights.UntrustedJson;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.charset.CoderResult;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * Files of text to learn from, as examples: documents, every token of which but the first is
 * predicted, and conversations, of which only the response is.
 */
public final class TrainingTexts {
  private static final int MAX_LINE_BYTES = 64 << 20;

  /** The {@code finishReason} of a response that the model ended itself. */
  private static final String STOP = "stop";

  private static final ObjectReader JSON = BoundedJson.mapper().build().reader();

  private final Tokenizer tokenizer;
  private final PromptTemplate template;
  private final int longest;

  /**
   * @param tokenizer the model's
   * @param template the model's
   * @param positions that the model has: a longer document is cut into pieces, a longer
   *     conversation is refused
   */
  public TrainingTexts(Tokenizer tokenizer, PromptTemplate template, int positions) {
    this.tokenizer = tokenizer;
    this.template = template;
    this.longest = positions;
  }

  /** Positions that the model has. */
  public int longest() {
    return longest;
  }

  /**
   * Reads documents: JSON objects with a member {@code text}, one per line, and perhaps {@link
   * LossWeights}.
   *
   * @throws EngineException of kind RECORD that says file, line or byte, and what to do, if the
   *     file is not UTF-8, a line is not such an object, or there is none; ENVIRONMENT if it can
   *     not be read
   */
  public List<Example> documents(Path file) {
    List<Example> examples = new ArrayList<>();
    forEachLine(file, (number, line) -> examples.addAll(document(file, number, line)));
    return some(file, examples, "document");
  }

  private List<Example> document(Path file, long number, String line) {
    JsonNode json;
    try {
      json = JSON.readTree(line);
    } catch (StreamConstraintsException e) {
      throw refused(file, number, BoundedJson.limits());
    } catch (JacksonException e) {
      throw refused(file, number, "is no JSON object: " + UntrustedJson.problem(e));
    }
    JsonNode text = json.path("text");
    if (!text.isTextual() || text.textValue().isEmpty()) {
      throw refused(file, number, "has no member \"text\" with a text");
    }
    try {
      LossWeights weights = LossWeights.read(json, text.textValue().length());
      return document(text.textValue(), weights);
    } catch (IllegalArgumentException e) {
      throw refused(file, number, "can not be learnt: " + e.getMessage());
    } catch (EngineException e) {
      throw refused(file, number, "can not be read: " + e.getMessage());
    }
  }

  /**
   * Reads complete conversations in the input format, one per line.
   *
   * @throws EngineException as {@link #documents}
   */
  public List<Example> conversations(Path file) {
    List<Example> examples = new ArrayList<>();
    forEachLine(file, (number, line) -> examples.add(conversation(file, number, line)));
    return some(file, examples, "conversation");
  }

  private Example conversation(Path file, long number, String line) {
    Conversation conversation;
    try {
      conversation = ConversationCodec.read(line);
    } catch (ConversationFormatException e) {
      throw refused(file, number, "is no conversation: " + e.getMessage());
    }
    Example example;
    try {
      example = conversation(conversation);
    } catch (EngineException e) {
      throw refused(file, number, "can not be used: " + e.getMessage());
    }
    if (!teaches(example.lossWeights())) {
      throw refused(
          file,
          number,
          "has nothing to learn: its response is empty, and was cut off before its end");
    }
    int read = example.length() - 1; // the last one is only predicted
    if (read > longest) {
      throw refused(
          file,
          number,
          "has " + read + " tokens to read, the model reads " + longest + ": shorten it");
    }
    return example;
  }

  /**
   * A document as the model reads it.
   *
   * @param tokens of all of it
   * @param starts where each piece's first token is
   * @param examples the pieces
   */
  public record Pieces(int tokens, List<Integer> starts, List<Example> examples) {
    public Pieces {
      starts = List.copyOf(starts);
      examples = List.copyOf(examples);
    }
  }

  /** The examples of {@link #pieces}. */
  public List<Example> document(String text, LossWeights lossWeights) {
    return pieces(text, lossWeights).examples();
  }

  /**
   * A document, in pieces where it is longer than the model reads: a piece begins with the last
   * token that the one before predicts, so that only the document's first token is not learnt.
   * Pieces that teach nothing, all weights being 0, are left out.
   */
  public Pieces pieces(String text, LossWeights lossWeights) {
    Encoding encoding = tokenizer.encode(text);
    int[] ids = encoding.ids();
    float[] weights = lossWeights.of(encoding);
    List<Integer> starts = new ArrayList<>();
    List<Example> examples = new ArrayList<>();
    for (int at = 0; at + 1 < ids.length; at += longest) {
      // what is only predicted takes no position
      int end = Math.min(ids.length, at + longest + 1);
      float[] ofPiece = Arrays.copyOfRange(weights, at, end);
      ofPiece[0] = 0;
      if (teaches(ofPiece)) {
        starts.add(at);
        examples.add(new Example(Arrays.copyOfRange(ids, at, end), ofPiece));
      }
    }
    return new Pieces(ids.length, starts, examples);
  }

  private static boolean teaches(float[] weights) {
    for (float weight : weights) {
      if (weight > 0) {
        return true;
      }
    }
    return false;
  }

  /**
   * A conversation to learn from: the prompt's tokens with weight 0, the response's and its end
   * token's with weight 1; a response that was cut off has no end token. Training data seldom say
   * why a response ended: one of which nobody does is taken for whole.
   *
   * @throws EngineException of kind UNSUPPORTED if the template can not render it, it has no two
   *     tokens, so that nothing is predicted from anything, or more characters than the tokens that
   *     the model reads can have
   */
  public Example conversation(Conversation conversation) {
    return example(conversation, List.of("", STOP).contains(conversation.finishReason()));
  }

  /**
   * A conversation whose response is asked about, as {@link #conversation}, but with an end token
   * exactly where the model is known to have ended the response itself, as wherever a response is
   * scored: no end counts that nobody saw.
   *
   * @throws EngineException as {@link #conversation}
   */
  public Example response(Conversation conversation) {
    return example(conversation, conversation.finishReason().equals(STOP));
  }

  private Example example(Conversation conversation, boolean whole) {
    RenderedPrompt prompt = template.render(conversation);
    refuseCharacters((long) prompt.text().length() + conversation.response().length());
    int[] before = tokenizer.encode(prompt.text()).ids();
    int[] answer = tokenizer.encodeContinuation(prompt.text(), conversation.response()).ids();
    int end = whole && !prompt.endToken().isEmpty() ? tokenizer.idOf(prompt.endToken()) : -1;
    int[] tokens = Arrays.copyOf(before, before.length + answer.length + (end < 0 ? 0 : 1));
    if (tokens.length < 2) {
      throw new EngineException(
          Kind.UNSUPPORTED, "Prompt and response together have fewer than two tokens.");
    }
    System.arraycopy(answer, 0, tokens, before.length, answer.length);
    if (end >= 0) {
      tokens[tokens.length - 1] = end;
    }
    float[] weights = new float[tokens.length];
    Arrays.fill(weights, Math.max(1, before.length), weights.length, 1f);
    return new Example(tokens, weights);
  }

  /** Before it is tokenised: tokens take a hundred bytes each. */
  private void refuseCharacters(long characters) {
    int each = tokenizer.longestToken();
    if (characters > (longest + 1L) * each) {
      throw new EngineException(
          Kind.UNSUPPORTED,
          "Prompt and response have "
              + characters
              + " characters, more than the model's "
              + longest
              + " tokens can hold (its longest token has "
              + each
              + " characters): shorten it.");
    }
  }

  private static List<Example> some(Path file, List<Example> examples, String what) {
    if (examples.isEmpty()) {
      throw new EngineException(Kind.RECORD, file + " holds no " + what + ": nothing to learn.");
    }
    return examples;
  }

  private static EngineException refused(Path file, long line, String problem) {
    return new EngineException(Kind.RECORD, file + ", line " + line + ", " + problem + ".");
  }

  /** What is done with a line; lines are numbered from 1. */
  private interface LineAction {
    void line(long number, String text);
  }

  /** Reads the lines that are not blank, one by one: a corpus may be larger than memory. */
  private static void forEachLine(Path file, LineAction action) {
    try (InputStream in = Files.newInputStream(file)) {
      LineReader lines = new LineReader(in, MAX_LINE_BYTES);
      long start = 0;
      for (LineReader.Line line = lines.next(); line != null; line = lines.next()) {
        String text = line.text();
        if (text == null) {
          throw unreadable(file, line, start, lines.position());
        }
        if (!text.isBlank()) {
          action.line(line.number(), text);
        }
        start = lines.position();
      }
    } catch (IOException e) {
      throw new EngineException(Kind.ENVIRONMENT, file + " could not be read.", e);
    }
  }

  /** Says of a line that is not UTF-8 at which byte of the file. */
  private static EngineException unreadable(Path file, LineReader.Line line, long start, long end)
      throws IOException {
    if (end - start <= MAX_LINE_BYTES + 1L) {
      ByteBuffer bytes = ByteBuffer.allocate((int) (end - start));
      try (SeekableByteChannel channel = Files.newByteChannel(file)) {
        channel.position(start);
        int read = 0;
        while (read >= 0 && bytes.hasRemaining()) {
          read = channel.read(bytes);
        }
      }
      bytes.flip();
      CoderResult result =
          StandardCharsets.UTF_8
              .newDecoder()
              .onMalformedInput(CodingErrorAction.REPORT)
              .decode(bytes, CharBuffer.allocate(bytes.limit()), true);
      if (result.isError()) {
        return new EngineException(
            Kind.RECORD,
            String.format(
                Locale.ROOT,
                "%s, line %d: byte %d (0x%02x) is not UTF-8; convert the file to UTF-8.",
                file,
                line.number(),
                start + bytes.position(),
                bytes.get(bytes.position())));
      }
    }
    return refused(file, line.number(), line.problem());
  }
}
