package dev.whence.engine.text.jinja;

/** A template that can not be parsed or rendered; the message names the construct, never values. */
public final class JinjaException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** A template may call its variables what it likes. */
  private static final int MAX_MESSAGE = 500;

  public JinjaException(String message) {
    super(message.length() > MAX_MESSAGE ? message.substring(0, MAX_MESSAGE) + "..." : message);
  }

  /** With the line of the template, from 1. */
  static JinjaException at(int line, String message) {
    return new JinjaException("line " + line + ": " + message);
  }
}
