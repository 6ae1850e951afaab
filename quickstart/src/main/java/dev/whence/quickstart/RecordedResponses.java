package dev.whence.quickstart;

import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.conversation.ConversationFormatException;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Complete records of a JSONL file, replayed over and over: as they stand in the first round, with
 * {@code -2}, {@code -3}, ... after their ids in later ones. A line that can not be read is one
 * line on the error stream, in the first round, and is left out.
 */
final class RecordedResponses implements Traffic {
  private static final int MAX_LINE_BYTES = 64 << 20;
  private static final int IN_FLIGHT = 8;

  private final Path file;
  private final PrintStream errors;
  private InputStream in;
  private int round = 1;
  private long line;
  private int readInRound;

  /**
   * @throws IOException if the file can not be read
   */
  RecordedResponses(Path file, PrintStream errors) throws IOException {
    this.file = file;
    this.errors = errors;
    this.in = open();
  }

  private InputStream open() throws IOException {
    if (!Files.isRegularFile(file)) {
      throw new IOException("the input '" + file + "' is no file that can be read");
    }
    return new BufferedInputStream(Files.newInputStream(file), 1 << 16);
  }

  @Override
  public Optional<Conversation> next() throws IOException {
    while (true) {
      byte @Nullable [] bytes = nextLine();
      if (bytes == null) {
        if (readInRound == 0) {
          return Optional.empty();
        }
        in.close();
        in = open();
        round++;
        line = 0;
        readInRound = 0;
        continue;
      }
      line++;
      try {
        Optional<Conversation> conversation = parse(bytes);
        if (conversation.isPresent()) {
          readInRound++;
          return conversation;
        }
      } catch (ConversationFormatException | IllegalArgumentException e) {
        if (round == 1) {
          errors.println(file + ", line " + line + ": " + e.getMessage());
        }
      }
    }
  }

  private Optional<Conversation> parse(byte[] bytes) {
    if (bytes.length > MAX_LINE_BYTES) {
      throw new IllegalArgumentException("longer than " + MAX_LINE_BYTES + " bytes");
    }
    String text;
    try {
      text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
    } catch (CharacterCodingException e) {
      throw new IllegalArgumentException("not UTF-8", e);
    }
    if (text.isBlank()) {
      return Optional.empty();
    }
    Conversation conversation = ConversationCodec.read(text);
    return Optional.of(
        round == 1
            ? conversation
            : Conversations.with(
                conversation, conversation.responseId() + "-" + round, conversation.occurredAt()));
  }

  /** The bytes of a line, at most one more than the bound; null at the end of the file. */
  private byte @Nullable [] nextLine() throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    int b = in.read();
    if (b < 0) {
      return null;
    }
    while (b >= 0 && b != '\n') {
      if (bytes.size() <= MAX_LINE_BYTES) {
        bytes.write(b);
      }
      b = in.read();
    }
    return bytes.toByteArray();
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
