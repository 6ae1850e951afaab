package dev.whence.engine.text.jinja;

import dev.whence.engine.text.jinja.Token.Kind;
import java.util.List;

/** Tokens with one place to look ahead from. */
final class TokenStream {
  private final List<Token> tokens;
  private int at;

  TokenStream(List<Token> tokens) {
    this.tokens = tokens;
  }

  Token peek() {
    return tokens.get(at);
  }

  Token peekAfter() {
    return tokens.get(Math.min(at + 1, tokens.size() - 1));
  }

  Token next() {
    Token token = tokens.get(at);
    if (token.kind() != Kind.END) {
      at++;
    }
    return token;
  }

  boolean accept(Kind kind, String text) {
    if (peek().is(kind, text)) {
      at++;
      return true;
    }
    return false;
  }

  Token expect(Kind kind) {
    if (peek().kind() != kind) {
      throw unexpected(kind.name());
    }
    return next();
  }

  Token expect(Kind kind, String text) {
    if (!peek().is(kind, text)) {
      throw unexpected("'" + text + "'");
    }
    return next();
  }

  JinjaException unexpected(String wanted) {
    Token token = peek();
    String found =
        switch (token.kind()) {
          case TEXT -> "text";
          case STRING -> "a string";
          case EXPRESSION_END -> "'}}'";
          case BLOCK_END -> "'%}'";
          default -> "'" + token.text() + "'";
        };
    return JinjaException.at(token.line(), "expected " + wanted + ", found " + found);
  }
}
