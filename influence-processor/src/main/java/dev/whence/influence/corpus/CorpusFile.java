package dev.whence.influence.corpus;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.exc.StreamConstraintsException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.exc.MismatchedInputException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.whence.conversation.BoundedJson;
import dev.whence.conversation.ConversationCodec;
import dev.whence.conversation.ConversationFormatException;
import dev.whence.conversation.LineReader;
import dev.whence.conversation.WellFormedText;
import dev.whence.engine.EngineException;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.LossWeights;
import dev.whence.engine.training.TrainingTexts;
import dev.whence.files.FileProblem;
import dev.whence.files.Sha256;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.corpus.CorpusDocument.Reference;
import java.io.BufferedInputStream;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.zip.GZIPInputStream;
import org.jspecify.annotations.Nullable;

/**
 * Training data: JSON Lines, each a document (member {@code text}, optionally {@code id} and {@link
 * LossWeights}) or a complete conversation in the input format, of which only the response was
 * learnt. Files whose name ends with {@code .gz} are unpacked as they are read. What is no such
 * line is a problem of that line only.
 *
 * @param path the file
 */
public record CorpusFile(Path path) {
  /** A line longer than this is refused. */
  private static final int MAX_LINE_BYTES = 64 << 20;

  private static final JsonMapper JSON = BoundedJson.mapper().build();

  private static final int EXCERPT = 160;
  static final int LONGEST_ID = 512;

  /** What is done with the lines of a corpus. */
  public interface Visitor {
    /**
     * How much of the file was read, before each line and at its end.
     *
     * @param bytes of {@link CorpusFile#bytes}; where the file is compressed, of what lies there
     */
    default void at(long bytes) {}

    /**
     * A document.
     *
     * @return whether to go on
     */
    boolean document(CorpusDocument document);

    /** A line that is none. */
    void rejected(Rejected rejected);
  }

  /**
   * A line that is no document.
   *
   * @param line from 1
   * @param problem never holds text of the line
   */
  public record Rejected(long line, String problem) {}

  /**
   * Which lines are read.
   *
   * @param part from 1
   * @param parts so many workers share the corpus, line by line in turn
   */
  public record Share(int part, int parts) {
    public static final Share ALL = new Share(1, 1);

    public Share {
      if (part < 1 || part > parts) {
        throw new InfluenceException(
            "part " + part + " of " + parts + " is none: parts count from 1 to " + parts);
      }
    }

    boolean has(long line) {
      return (line - 1) % parts == part - 1;
    }
  }

  /**
   * Reads lines in order, those after the first {@code skipped} ones.
   *
   * @throws InfluenceException if the file can not be read
   */
  public void read(TrainingTexts texts, Share share, long skipped, Visitor visitor) {
    try (CountedInput file = new CountedInput(Files.newInputStream(path));
        InputStream in = unpacked(file)) {
      LineReader lines = new LineReader(in, MAX_LINE_BYTES);
      while (true) {
        long offset = lines.position();
        LineReader.Line line = lines.next();
        visitor.at(isCompressed() ? file.count() : lines.position());
        if (line == null) {
          return;
        }
        if (line.number() <= skipped || !share.has(line.number())) {
          continue;
        }
        Reference reference =
            new Reference(
                line.number(),
                offset,
                (int) Math.min(Integer.MAX_VALUE, lines.position() - offset));
        String text = line.text();
        if (text != null && text.isBlank()) {
          continue;
        }
        CorpusDocument document;
        try {
          if (text == null) {
            throw new Refused(line.problem());
          }
          document = document(texts, reference, text);
        } catch (Refused e) {
          visitor.rejected(new Rejected(line.number(), String.valueOf(e.getMessage())));
          continue;
        }
        if (!visitor.document(document)) {
          return;
        }
      }
    } catch (IOException e) {
      throw new InfluenceException(
          path + " could not be read (" + FileProblem.of(e, path) + "): see that it is whole.", e);
    }
  }

  /**
   * Reads all documents of a corpus that has no other lines.
   *
   * @throws InfluenceException if the file can not be read, or a line is no document
   */
  public List<CorpusDocument> documents(TrainingTexts texts) {
    List<CorpusDocument> documents = new ArrayList<>();
    read(
        texts,
        Share.ALL,
        0,
        new Visitor() {
          @Override
          public boolean document(CorpusDocument document) {
            return documents.add(document);
          }

          @Override
          public void rejected(Rejected rejected) {
            throw new InfluenceException(
                path + ", line " + rejected.line() + ": " + rejected.problem());
          }
        });
    return documents;
  }

  /**
   * Reads single lines again; their documents by line number.
   *
   * @throws InfluenceException if a line is not a document any more, or the file can not be read
   */
  public Map<Long, CorpusDocument> read(TrainingTexts texts, List<Reference> references) {
    Map<Long, CorpusDocument> found = new TreeMap<>();
    List<Reference> ordered =
        references.stream().sorted(Comparator.comparingLong(Reference::offset)).toList();
    try (InputStream in = open()) {
      long at = 0;
      for (Reference reference : ordered) {
        in.skipNBytes(reference.offset() - at);
        byte[] bytes = in.readNBytes(reference.bytes());
        at = reference.offset() + bytes.length;
        String line = withoutMark(new String(bytes, StandardCharsets.UTF_8)).strip();
        found.put(reference.line(), document(texts, reference, line));
      }
      return found;
    } catch (IOException | Refused e) {
      throw new InfluenceException(
          path
              + " is not what was indexed: a line is shorter or no document any more. Build the"
              + " index anew, or give the corpus back that it was built of.",
          e);
    }
  }

  /** What is done with a line as it stands there. */
  public interface Lines {
    /**
     * A line.
     *
     * @param number from 1
     * @return whether to go on
     */
    boolean line(long number, String text) throws IOException;
  }

  /**
   * Reads all lines of text in order, whatever they say.
   *
   * @throws InfluenceException if the file can not be read
   */
  public void lines(Lines lines) {
    try (InputStream in = open()) {
      LineReader reader = new LineReader(in, MAX_LINE_BYTES);
      for (LineReader.Line line = reader.next(); line != null; line = reader.next()) {
        String text = line.text();
        if (text != null && !lines.line(line.number(), text)) {
          return;
        }
      }
    } catch (IOException e) {
      throw new InfluenceException(
          path + " could not be read (" + FileProblem.of(e, path) + ").", e);
    }
  }

  /**
   * Lines as they stand there, by their number, ascending.
   *
   * @throws InfluenceException if one of them is not there, or the file can not be read
   */
  public Map<Long, String> lines(Set<Long> numbers) {
    Map<Long, String> found = new TreeMap<>();
    lines(
        (number, text) -> {
          if (numbers.contains(number)) {
            found.put(number, text);
          }
          return found.size() < numbers.size();
        });
    for (long number : numbers) {
      if (!found.containsKey(number)) {
        throw new InfluenceException(
            path + " has no line " + number + " that can be read: it is not the corpus meant.");
      }
    }
    return found;
  }

  /** A byte order mark at the begin of the file, as {@link LineReader} leaves it out. */
  private static String withoutMark(String line) {
    return line.startsWith("\ufeff") ? line.substring(1) : line;
  }

  private static CorpusDocument document(TrainingTexts texts, Reference reference, String line)
      throws Refused {
    JsonNode json;
    try {
      json = JSON.readTree(line);
    } catch (MismatchedInputException e) {
      throw new Refused("the line has more than one JSON object");
    } catch (StreamConstraintsException e) {
      throw new Refused("the line " + BoundedJson.limits());
    } catch (JacksonException e) {
      throw new Refused("the line is no JSON");
    }
    if (json == null || !json.isObject()) {
      throw new Refused("the line is no JSON object");
    }
    if (isConversation(json)) {
      return conversation(texts, reference, line);
    }
    if (!json.path("text").isTextual()) {
      throw new Refused(
          "the line has no member \"text\" with a text, and no \"messages\" or \"prompt\"");
    }
    // An index is written in UTF-8, which has no form for an unpaired surrogate.
    String text = WellFormedText.of(json.path("text").textValue());
    TrainingTexts.Pieces pieces;
    try {
      pieces = texts.pieces(text, LossWeights.read(json, text.length()));
    } catch (IllegalArgumentException e) {
      throw new Refused(e.getMessage());
    } catch (EngineException e) {
      throw new Refused("the text can not be read: " + e.getMessage());
    }
    if (pieces.examples().isEmpty()) {
      throw new Refused(
          "nothing was learnt from it: the text has less than two tokens, or all its loss weights"
              + " are 0");
    }
    String id = id(json, reference.line());
    checkId(id);
    return new CorpusDocument(reference, id, excerpt(text), pieces);
  }

  /**
   * Whether a line is a conversation: it has messages or, without a text, a prompt. Null is the
   * same as absent, as {@link ConversationCodec} reads it.
   */
  public static boolean isConversation(JsonNode line) {
    return line.hasNonNull("messages") || (line.hasNonNull("prompt") && !line.hasNonNull("text"));
  }

  /**
   * What a document, not a conversation, is called.
   *
   * @param line its number, from 1
   */
  public static String id(JsonNode document, long line) {
    String id = WellFormedText.of(document.path("id").asText(""));
    return id.isEmpty() ? "line-" + line : id;
  }

  private static void checkId(String id) throws Refused {
    if (id.length() > LONGEST_ID) {
      throw new Refused("the id has " + id.length() + " characters, more than " + LONGEST_ID);
    }
  }

  private static CorpusDocument conversation(TrainingTexts texts, Reference reference, String line)
      throws Refused {
    try {
      var conversation = ConversationCodec.read(line);
      checkId(conversation.responseId());
      Example example = texts.conversation(conversation);
      if (example.length() - 1 > texts.longest()) {
        throw new Refused(
            "the conversation has "
                + example.length()
                + " tokens, the model reads "
                + texts.longest());
      }
      CorpusDocument document =
          new CorpusDocument(
              reference,
              conversation.responseId(),
              excerpt(conversation.response()),
              List.of(example));
      if (document.weight() == 0) {
        throw new Refused("the conversation has no response: nothing was learnt from it");
      }
      return document;
    } catch (ConversationFormatException | IllegalArgumentException e) {
      throw new Refused("the line is no conversation");
    } catch (EngineException e) {
      throw new Refused("the conversation can not be used: " + e.getMessage());
    }
  }

  private static String excerpt(String text) {
    if (text.length() <= EXCERPT) {
      return text;
    }
    int end = Character.isHighSurrogate(text.charAt(EXCERPT - 1)) ? EXCERPT - 1 : EXCERPT;
    return text.substring(0, end);
  }

  private InputStream open() throws IOException {
    return unpacked(Files.newInputStream(path));
  }

  private InputStream unpacked(InputStream raw) throws IOException {
    try {
      return isCompressed() ? new BufferedInputStream(new GZIPInputStream(raw, 1 << 16)) : raw;
    } catch (IOException e) {
      raw.close();
      throw e;
    }
  }

  /** Counts the bytes that were read. */
  private static final class CountedInput extends FilterInputStream {
    private long count;

    CountedInput(InputStream in) {
      super(in);
    }

    long count() {
      return count;
    }

    @Override
    public int read() throws IOException {
      int one = in.read();
      count += one < 0 ? 0 : 1;
      return one;
    }

    @Override
    public int read(byte[] target, int from, int length) throws IOException {
      int n = in.read(target, from, length);
      count += Math.max(0, n);
      return n;
    }

    @Override
    public long skip(long n) throws IOException {
      long skipped = in.skip(n);
      count += skipped;
      return skipped;
    }

    @Override
    public boolean markSupported() {
      return false;
    }
  }

  /** Whether it has to be unpacked from its beginning to read any of it. */
  public boolean isCompressed() {
    return isCompressed(path);
  }

  /** Whether a file is unpacked as it is read. */
  static boolean isCompressed(Path path) {
    return String.valueOf(path.getFileName()).endsWith(".gz");
  }

  /** Bytes of the file as it lies there. */
  public long bytes() {
    try {
      return Files.size(path);
    } catch (IOException e) {
      throw new InfluenceException(
          path + " could not be read (" + FileProblem.of(e, path) + ").", e);
    }
  }

  /** SHA-256 of the file as it lies there, in hex. */
  public String digest() {
    try {
      return Sha256.of(path);
    } catch (IOException e) {
      throw new InfluenceException(
          path + " could not be read (" + FileProblem.of(e, path) + ").", e);
    }
  }

  /**
   * That it is what was indexed; it is read for that.
   *
   * @param digest of what was
   * @throws InfluenceException if it is not
   */
  public void check(String digest) {
    if (!digest().equals(digest)) {
      throw new InfluenceException(
          path
              + " is not the corpus that was indexed: its SHA-256 is another. Give back the file that"
              + " the index was built of (--corpus), or build the index anew.");
    }
  }

  /** Why a line is no document. */
  private static final class Refused extends Exception {
    private static final long serialVersionUID = 1L;

    Refused(@Nullable String problem) {
      super(problem);
    }
  }
}
