package dev.whence.engine.text.jinja;

/**
 * One token of a template.
 *
 * @param kind what it is
 * @param text of it: literal text, name, operator, or a string's value
 * @param line in the template, from 1
 */
record Token(Kind kind, String text, int line) {
  enum Kind {
    TEXT,
    EXPRESSION_BEGIN,
    EXPRESSION_END,
    BLOCK_BEGIN,
    BLOCK_END,
    NAME,
    STRING,
    INTEGER,
    FLOAT,
    OPERATOR,
    END
  }

  boolean is(Kind wanted, String wantedText) {
    return kind == wanted && text.equals(wantedText);
  }
}
