package dev.whence.engine.text.jinja;

/** A template that can not be parsed or rendered; the message names the construct, never values. */
public final class JinjaException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public JinjaException(String message) {
    super(message);
  }

  /** With the line of the template, from 1. */
  static JinjaException at(int line, String message) {
    return new JinjaException("line " + line + ": " + message);
  }
}
