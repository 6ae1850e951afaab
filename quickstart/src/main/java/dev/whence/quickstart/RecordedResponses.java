package dev.whence.quickstart;

import dev.whence.conversation.Compressed;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.conversation.ConversationFormatException;
import dev.whence.conversation.LineReader;
import dev.whence.conversation.LineReader.Line;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * Complete records of a JSONL file, plain or compressed with gzip, replayed over and over: as they
 * stand in the first round, with {@code -2}, {@code -3}, ... after their ids in later ones. A line
 * that can not be read is one line on the error stream, in the first round, and is left out.
 */
final class RecordedResponses implements Traffic {
  private static final int MAX_LINE_BYTES = 64 << 20;
  private static final int IN_FLIGHT = 8;

  private final Path file;
  private final PrintStream errors;
  private InputStream in;
  private LineReader lines;
  private int round = 1;
  private long line;
  private boolean anyInRound;

  /**
   * @throws IOException if the file can not be read
   */
  RecordedResponses(Path file, PrintStream errors) throws IOException {
    this.file = file;
    this.errors = errors;
    this.in = open();
    this.lines = new LineReader(Compressed.opened(in), MAX_LINE_BYTES);
  }

  private InputStream open() throws IOException {
    if (!Files.isRegularFile(file)) {
      throw new IOException("the input '" + file + "' is no file that can be read");
    }
    return Files.newInputStream(file);
  }

  @Override
  public Optional<Conversation> next() throws IOException {
    while (true) {
      Line read = lines.next();
      if (read == null) {
        if (!anyInRound) {
          return Optional.empty();
        }
        in.close();
        in = open();
        lines = new LineReader(Compressed.opened(in), MAX_LINE_BYTES);
        round++;
        anyInRound = false;
        continue;
      }
      line = read.number();
      Optional<Conversation> conversation = parse(read);
      if (conversation.isPresent()) {
        anyInRound = true;
        return conversation;
      }
    }
  }

  private Optional<Conversation> parse(Line read) {
    String text = read.text();
    if (text == null) {
      problem(read.problem());
      return Optional.empty();
    }
    if (text.isBlank()) {
      return Optional.empty();
    }
    try {
      Conversation conversation = ConversationCodec.read(text);
      return Optional.of(
          round == 1
              ? conversation
              : conversation.toBuilder().responseId(inRound(conversation.responseId())).build());
    } catch (ConversationFormatException | IllegalArgumentException e) {
      problem(String.valueOf(e.getMessage()));
      return Optional.empty();
    }
  }

  /** No longer than an id may be: what is refused would be waited for without end. */
  private String inRound(String id) {
    String suffix = "-" + round;
    int end = Math.min(id.length(), Conversation.LONGEST_ID - suffix.length());
    boolean splits = end < id.length() && Character.isHighSurrogate(id.charAt(end - 1));
    return id.substring(0, splits ? end - 1 : end) + suffix;
  }

  private void problem(String sentence) {
    if (round == 1) {
      errors.println(file + ", line " + line + ": " + sentence);
    }
  }

  @Override
  public int inFlight() {
    return IN_FLIGHT;
  }

  @Override
  public String activity() {
    return "replaying " + file.getFileName() + ", line " + line;
  }

  @Override
  public void close() throws IOException {
    in.close();
  }
}
