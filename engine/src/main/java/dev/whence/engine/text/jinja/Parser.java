package dev.whence.engine.text.jinja;

import dev.whence.engine.text.jinja.Node.Expression;
import dev.whence.engine.text.jinja.Node.Statement;
import dev.whence.engine.text.jinja.Token.Kind;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** Statements; expressions are parsed by {@link ExpressionParser}. */
final class Parser {
  private static final int MAX_DEPTH = 100;

  private final TokenStream tokens;
  private final ExpressionParser expressions;
  private int depth;
  private int loops;

  private Parser(TokenStream tokens) {
    this.tokens = tokens;
    this.expressions = new ExpressionParser(tokens);
  }

  static List<Statement> parse(String source) {
    Parser parser = new Parser(new TokenStream(Lexer.tokens(source)));
    List<Statement> statements = parser.body(Set.of());
    if (parser.tokens.peek().kind() != Kind.END) {
      throw parser.tokens.unexpected("the end of the template");
    }
    return statements;
  }

  /** Statements up to a block tag that begins with one of the names; that tag's name is next. */
  private List<Statement> body(Set<String> until) {
    if (++depth > MAX_DEPTH) {
      throw JinjaException.at(tokens.peek().line(), "blocks are nested deeper than " + MAX_DEPTH);
    }
    List<Statement> statements = new ArrayList<>();
    while (true) {
      Token token = tokens.peek();
      switch (token.kind()) {
        case TEXT -> {
          tokens.next();
          statements.add(new Node.Text(token.line(), token.text()));
        }
        case EXPRESSION_BEGIN -> {
          tokens.next();
          Expression value = expressions.tuple();
          tokens.expect(Kind.EXPRESSION_END);
          statements.add(new Node.Output(token.line(), value));
        }
        case BLOCK_BEGIN -> {
          tokens.next();
          if (until.contains(tokens.peek().text())) {
            depth--;
            return statements;
          }
          statements.add(block());
        }
        default -> {
          if (!until.isEmpty()) {
            throw tokens.unexpected(String.join(" or ", until.stream().sorted().toList()));
          }
          depth--;
          return statements;
        }
      }
    }
  }

  private Statement block() {
    Token tag = tokens.expect(Kind.NAME);
    return switch (tag.text()) {
      case "if" -> ifBlock(tag.line());
      case "for" -> forBlock(tag.line());
      case "set" -> set(tag.line());
      case "macro" -> macro(tag.line());
      case "generation" -> {
        tokens.expect(Kind.BLOCK_END);
        List<Statement> body = body(Set.of("endgeneration"));
        end();
        yield new Node.Group(tag.line(), body);
      }
      case "break", "continue" -> {
        tokens.expect(Kind.BLOCK_END);
        if (loops == 0) {
          throw JinjaException.at(tag.line(), "{% " + tag.text() + " %} outside of a loop");
        }
        yield tag.text().equals("break")
            ? new Node.Break(tag.line())
            : new Node.Continue(tag.line());
      }
      default ->
          throw JinjaException.at(
              tag.line(), "the tag {% " + tag.text() + " %} is not supported here");
    };
  }

  /** The closing tag's name and its end. */
  private void end() {
    tokens.expect(Kind.NAME);
    tokens.expect(Kind.BLOCK_END);
  }

  private Statement ifBlock(int line) {
    List<Node.Branch> branches = new ArrayList<>();
    Optional<Expression> condition = Optional.of(expressions.tuple());
    while (true) {
      tokens.expect(Kind.BLOCK_END);
      boolean last = condition.isEmpty();
      List<Statement> body = body(last ? Set.of("endif") : Set.of("elif", "else", "endif"));
      branches.add(new Node.Branch(condition, body));
      String tag = tokens.expect(Kind.NAME).text();
      if (tag.equals("endif")) {
        tokens.expect(Kind.BLOCK_END);
        return new Node.If(line, branches);
      }
      condition = tag.equals("elif") ? Optional.of(expressions.tuple()) : Optional.empty();
    }
  }

  private Statement forBlock(int line) {
    List<String> targets = targets();
    tokens.expect(Kind.NAME, "in");
    Expression items = expressions.tupleWithoutConditional();
    Optional<Expression> condition = Optional.empty();
    if (tokens.accept(Kind.NAME, "if")) {
      condition = Optional.of(expressions.expression());
    }
    if (tokens.peek().is(Kind.NAME, "recursive")) {
      throw JinjaException.at(line, "recursive loops are not supported");
    }
    tokens.expect(Kind.BLOCK_END);
    loops++;
    List<Statement> body = body(Set.of("else", "endfor"));
    loops--;
    List<Statement> otherwise = List.of();
    if (tokens.accept(Kind.NAME, "else")) {
      tokens.expect(Kind.BLOCK_END);
      otherwise = body(Set.of("endfor"));
    }
    end();
    return new Node.For(line, targets, items, condition, body, otherwise);
  }

  private List<String> targets() {
    List<String> targets = new ArrayList<>();
    boolean parenthesis = tokens.accept(Kind.OPERATOR, "(");
    do {
      targets.add(tokens.expect(Kind.NAME).text());
    } while (tokens.accept(Kind.OPERATOR, ","));
    if (parenthesis) {
      tokens.expect(Kind.OPERATOR, ")");
    }
    return targets;
  }

  private Statement set(int line) {
    List<String> targets = targets();
    String attribute = "";
    if (targets.size() == 1 && tokens.accept(Kind.OPERATOR, ".")) {
      attribute = tokens.expect(Kind.NAME).text();
    }
    if (tokens.accept(Kind.OPERATOR, "=")) {
      Expression value = expressions.tuple();
      tokens.expect(Kind.BLOCK_END);
      return new Node.Assign(line, targets, attribute, value);
    }
    if (targets.size() > 1 || !attribute.isEmpty()) {
      throw tokens.unexpected("=");
    }
    List<Node.Filter> filters = new ArrayList<>();
    while (tokens.accept(Kind.OPERATOR, "|")) {
      filters.add(expressions.filter(Optional.empty()));
    }
    tokens.expect(Kind.BLOCK_END);
    List<Statement> body = body(Set.of("endset"));
    end();
    return new Node.AssignBlock(line, targets.get(0), filters, body);
  }

  private Statement macro(int line) {
    String name = tokens.expect(Kind.NAME).text();
    tokens.expect(Kind.OPERATOR, "(");
    List<Node.Parameter> parameters = new ArrayList<>();
    while (!tokens.accept(Kind.OPERATOR, ")")) {
      if (!parameters.isEmpty()) {
        tokens.expect(Kind.OPERATOR, ",");
      }
      String parameter = tokens.expect(Kind.NAME).text();
      Optional<Expression> fallback = Optional.empty();
      if (tokens.accept(Kind.OPERATOR, "=")) {
        fallback = Optional.of(expressions.expression());
      }
      parameters.add(new Node.Parameter(parameter, fallback));
    }
    tokens.expect(Kind.BLOCK_END);
    int outer = loops;
    loops = 0;
    List<Statement> body = body(Set.of("endmacro"));
    loops = outer;
    end();
    return new Node.Macro(line, name, parameters, body);
  }
}
