package dev.whence.quickstart;

import dev.whence.conversation.Conversation;
import java.io.IOException;
import java.util.Optional;

/** The application that is watched: what it asked and what the model answered, one by one. */
interface Traffic extends AutoCloseable {
  /**
   * The next response, under an id that this traffic has not used before; it may take the time of a
   * model's answer.
   *
   * @return empty if there is nothing that could be sent
   * @throws IOException if the input can not be read
   */
  Optional<Conversation> next() throws IOException;

  /** How many responses may be on their way at once. */
  int inFlight();

  /** What the application is doing, for people. */
  String activity();

  @Override
  void close() throws IOException;
}
