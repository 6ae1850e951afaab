package dev.whence.quickstart;

import dev.whence.conversation.Conversation;
import dev.whence.schemas.avro.Attribution;
import java.io.IOException;
import java.util.Optional;

/** Something that happens beside the traffic and tells of it, line by line. */
interface Scene extends AutoCloseable {
  /** What begins after so many answers does not keep a reader from the first ones. */
  int BEGINS_AFTER = 3;

  /**
   * Takes back what an earlier run on the same data left, before anything reads it.
   *
   * @throws IOException if that can not be removed
   */
  default void prepare() throws IOException {}

  /** Hears of each final attribution that is shown, the first of which is number 1. */
  void shown(int number, Conversation conversation, Attribution attribution);

  /**
   * Passes on what went wrong.
   *
   * @throws Exception what ended it before its end, if something did
   */
  void check() throws Exception;

  /** What is to be said if the quickstart ends before it. */
  Optional<String> cutShort();

  @Override
  void close();
}
