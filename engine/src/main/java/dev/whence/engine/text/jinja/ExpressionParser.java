package dev.whence.engine.text.jinja;

import dev.whence.engine.text.jinja.Node.Expression;
import dev.whence.engine.text.jinja.Token.Kind;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;

/** Expressions, with the precedence of Jinja2's parser: filters and tests bind tightest. */
final class ExpressionParser {
  private static final int MAX_DEPTH = 60;
  private static final Set<String> COMPARISONS = Set.of("==", "!=", "<", "<=", ">", ">=");
  private static final Set<String> NOT_AN_ARGUMENT =
      Set.of("else", "or", "and", "is", "if", "in", "not");

  private final TokenStream tokens;
  private int depth;

  ExpressionParser(TokenStream tokens) {
    this.tokens = tokens;
  }

  /** An expression, or several with commas between as a list. */
  Expression tuple() {
    return tuple(this::expression);
  }

  /** As {@link #tuple}; an {@code if} after it belongs to the loop. */
  Expression tupleWithoutConditional() {
    return tuple(this::or);
  }

  private Expression tuple(Supplier<Expression> item) {
    int line = tokens.peek().line();
    Expression first = item.get();
    if (!tokens.peek().is(Kind.OPERATOR, ",")) {
      return first;
    }
    List<Expression> items = new ArrayList<>(List.of(first));
    while (tokens.accept(Kind.OPERATOR, ",")) {
      Token next = tokens.peek();
      if (next.kind() == Kind.BLOCK_END
          || next.kind() == Kind.EXPRESSION_END
          || next.is(Kind.OPERATOR, ")")) {
        break;
      }
      items.add(item.get());
    }
    return new Node.ListLiteral(line, true, items);
  }

  Expression expression() {
    if (++depth > MAX_DEPTH) {
      throw JinjaException.at(
          tokens.peek().line(), "expressions are nested deeper than " + MAX_DEPTH);
    }
    Expression value = or();
    while (tokens.peek().is(Kind.NAME, "if")) {
      int line = tokens.next().line();
      Expression condition = or();
      Optional<Expression> otherwise = Optional.empty();
      if (tokens.accept(Kind.NAME, "else")) {
        otherwise = Optional.of(expression());
      }
      value = new Node.Conditional(line, condition, value, otherwise);
    }
    depth--;
    return value;
  }

  private Expression or() {
    Expression left = and();
    while (tokens.peek().is(Kind.NAME, "or")) {
      left = new Node.Binary(tokens.next().line(), "or", left, and());
    }
    return left;
  }

  private Expression and() {
    Expression left = not();
    while (tokens.peek().is(Kind.NAME, "and")) {
      left = new Node.Binary(tokens.next().line(), "and", left, not());
    }
    return left;
  }

  private Expression not() {
    int line = tokens.peek().line();
    int count = 0;
    while (tokens.accept(Kind.NAME, "not")) {
      count++;
    }
    Expression value = compare();
    for (int i = 0; i < (count == 0 ? 0 : 2 - count % 2); i++) {
      value = new Node.Unary(line, "not", value);
    }
    return value;
  }

  private Expression compare() {
    int line = tokens.peek().line();
    Expression first = sum();
    List<Node.Comparison> rest = new ArrayList<>();
    while (true) {
      Token token = tokens.peek();
      if (token.kind() == Kind.OPERATOR && COMPARISONS.contains(token.text())) {
        tokens.next();
        rest.add(new Node.Comparison(token.text(), sum()));
      } else if (tokens.accept(Kind.NAME, "in")) {
        rest.add(new Node.Comparison("in", sum()));
      } else if (token.is(Kind.NAME, "not") && tokens.peekAfter().is(Kind.NAME, "in")) {
        tokens.next();
        tokens.next();
        rest.add(new Node.Comparison("not in", sum()));
      } else {
        return rest.isEmpty() ? first : new Node.Compare(line, first, rest);
      }
    }
  }

  private Expression sum() {
    return leftAssociative(Set.of("+", "-"), this::concatenation);
  }

  private Expression concatenation() {
    return leftAssociative(Set.of("~"), this::product);
  }

  private Expression product() {
    return leftAssociative(Set.of("*", "/", "//", "%"), this::power);
  }

  private Expression power() {
    return leftAssociative(Set.of("**"), () -> unary(true));
  }

  private Expression leftAssociative(Set<String> operators, Supplier<Expression> operand) {
    Expression left = operand.get();
    while (tokens.peek().kind() == Kind.OPERATOR && operators.contains(tokens.peek().text())) {
      Token operator = tokens.next();
      left = new Node.Binary(operator.line(), operator.text(), left, operand.get());
    }
    return left;
  }

  private Expression unary(boolean withFilters) {
    if (++depth > MAX_DEPTH) {
      throw JinjaException.at(
          tokens.peek().line(), "expressions are nested deeper than " + MAX_DEPTH);
    }
    Token token = tokens.peek();
    Expression value;
    if (token.kind() == Kind.OPERATOR && (token.text().equals("-") || token.text().equals("+"))) {
      tokens.next();
      value = new Node.Unary(token.line(), token.text(), unary(false));
    } else {
      value = postfix(primary());
    }
    depth--;
    return withFilters ? filters(value) : value;
  }

  private Expression primary() {
    Token token = tokens.next();
    int line = token.line();
    return switch (token.kind()) {
      case NAME ->
          switch (token.text()) {
            case "true", "True" -> new Node.Literal(line, true);
            case "false", "False" -> new Node.Literal(line, false);
            case "none", "None" -> new Node.Literal(line, null);
            default -> new Node.Name(line, token.text());
          };
      case STRING -> {
        StringBuilder text = new StringBuilder(token.text());
        while (tokens.peek().kind() == Kind.STRING) {
          text.append(tokens.next().text());
        }
        yield new Node.Literal(line, text.toString());
      }
      case INTEGER -> new Node.Literal(line, integer(token));
      case FLOAT -> new Node.Literal(line, Double.parseDouble(token.text()));
      case OPERATOR -> bracketed(token);
      default -> throw notAnExpression(token);
    };
  }

  private Expression bracketed(Token token) {
    int line = token.line();
    return switch (token.text()) {
      case "(" -> {
        if (tokens.accept(Kind.OPERATOR, ")")) {
          yield new Node.ListLiteral(line, true, List.of());
        }
        Expression inner = tuple();
        tokens.expect(Kind.OPERATOR, ")");
        yield inner;
      }
      case "[" -> new Node.ListLiteral(line, false, items("]"));
      case "{" -> dict(line);
      default -> throw notAnExpression(token);
    };
  }

  private static long integer(Token token) {
    try {
      return Long.parseLong(token.text());
    } catch (NumberFormatException e) {
      throw JinjaException.at(token.line(), "an integer is out of range");
    }
  }

  private static JinjaException notAnExpression(Token token) {
    return JinjaException.at(
        token.line(), "an expression can not begin with '" + token.text() + "'");
  }

  private List<Expression> items(String closing) {
    List<Expression> items = new ArrayList<>();
    while (!tokens.accept(Kind.OPERATOR, closing)) {
      if (!items.isEmpty()) {
        tokens.expect(Kind.OPERATOR, ",");
        if (tokens.accept(Kind.OPERATOR, closing)) {
          break;
        }
      }
      items.add(expression());
    }
    return items;
  }

  private Expression dict(int line) {
    List<Map.Entry<Expression, Expression>> entries = new ArrayList<>();
    while (!tokens.accept(Kind.OPERATOR, "}")) {
      if (!entries.isEmpty()) {
        tokens.expect(Kind.OPERATOR, ",");
        if (tokens.accept(Kind.OPERATOR, "}")) {
          break;
        }
      }
      Expression key = expression();
      tokens.expect(Kind.OPERATOR, ":");
      entries.add(Map.entry(key, expression()));
    }
    return new Node.DictLiteral(line, entries);
  }

  private Expression postfix(Expression base) {
    Expression value = base;
    while (true) {
      int line = tokens.peek().line();
      if (tokens.accept(Kind.OPERATOR, ".")) {
        Token name = tokens.next();
        value =
            switch (name.kind()) {
              case NAME -> new Node.Attribute(line, value, name.text());
              case INTEGER -> new Node.Index(line, value, new Node.Literal(line, integer(name)));
              default -> throw JinjaException.at(line, "expected a name after '.'");
            };
      } else if (tokens.accept(Kind.OPERATOR, "[")) {
        value = subscript(line, value);
      } else if (tokens.accept(Kind.OPERATOR, "(")) {
        value = new Node.Call(line, value, arguments());
      } else {
        return value;
      }
    }
  }

  private Expression subscript(int line, Expression base) {
    List<Optional<Expression>> parts = new ArrayList<>();
    boolean slice = false;
    Optional<Expression> current = Optional.empty();
    while (!tokens.accept(Kind.OPERATOR, "]")) {
      if (tokens.accept(Kind.OPERATOR, ":")) {
        slice = true;
        parts.add(current);
        current = Optional.empty();
      } else if (current.isEmpty()) {
        current = Optional.of(expression());
      } else {
        throw tokens.unexpected("']'");
      }
    }
    parts.add(current);
    if (!slice) {
      return new Node.Index(
          line, base, current.orElseThrow(() -> JinjaException.at(line, "an empty index")));
    }
    if (parts.size() > 3) {
      throw JinjaException.at(line, "a slice with more than two colons");
    }
    return new Node.Slice(
        line, base, parts.get(0), parts.get(1), parts.size() > 2 ? parts.get(2) : Optional.empty());
  }

  /** Arguments after the opening parenthesis. */
  private Node.Arguments arguments() {
    List<Expression> positional = new ArrayList<>();
    Map<String, Expression> named = new LinkedHashMap<>();
    boolean first = true;
    while (!tokens.accept(Kind.OPERATOR, ")")) {
      if (!first) {
        tokens.expect(Kind.OPERATOR, ",");
        if (tokens.accept(Kind.OPERATOR, ")")) {
          break;
        }
      }
      first = false;
      Token token = tokens.peek();
      if (token.kind() == Kind.NAME && tokens.peekAfter().is(Kind.OPERATOR, "=")) {
        tokens.next();
        tokens.next();
        named.put(token.text(), expression());
      } else if (!named.isEmpty()) {
        throw JinjaException.at(token.line(), "a positional argument after a named one");
      } else {
        positional.add(expression());
      }
    }
    return new Node.Arguments(positional, named);
  }

  private Expression filters(Expression base) {
    Expression value = base;
    while (true) {
      int line = tokens.peek().line();
      if (tokens.accept(Kind.OPERATOR, "|")) {
        value = filter(Optional.of(value));
      } else if (tokens.accept(Kind.NAME, "is")) {
        value = test(line, value);
      } else if (tokens.accept(Kind.OPERATOR, "(")) {
        value = new Node.Call(line, value, arguments());
      } else {
        return value;
      }
    }
  }

  /** A filter after its bar. */
  Node.Filter filter(Optional<Expression> base) {
    Token name = tokens.expect(Kind.NAME);
    Node.Arguments arguments =
        tokens.accept(Kind.OPERATOR, "(") ? arguments() : Node.Arguments.NONE;
    return new Node.Filter(name.line(), base, name.text(), arguments);
  }

  private Expression test(int line, Expression base) {
    boolean negated = tokens.accept(Kind.NAME, "not");
    String name = tokens.expect(Kind.NAME).text();
    Node.Arguments arguments = Node.Arguments.NONE;
    Token next = tokens.peek();
    if (tokens.accept(Kind.OPERATOR, "(")) {
      arguments = arguments();
    } else if (startsArgument(next)) {
      arguments = new Node.Arguments(List.of(postfix(primary())), Map.of());
    }
    return new Node.Test(line, base, name, arguments, negated);
  }

  private static boolean startsArgument(Token token) {
    return switch (token.kind()) {
      case STRING, INTEGER, FLOAT -> true;
      case NAME -> !NOT_AN_ARGUMENT.contains(token.text());
      case OPERATOR -> token.text().equals("[") || token.text().equals("{");
      default -> false;
    };
  }
}
