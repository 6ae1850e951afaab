package dev.whence.engine.text.jinja;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** The syntax tree: statements write output, expressions have a value. */
sealed interface Node {
  int line();

  /** Something that writes output. */
  sealed interface Statement extends Node {}

  record Text(int line, String text) implements Statement {}

  record Output(int line, Expression value) implements Statement {}

  /** Branches in order; the condition of an else branch is empty. */
  record If(int line, List<Branch> branches) implements Statement {}

  record Branch(Optional<Expression> condition, List<Statement> body) {}

  record For(
      int line,
      List<String> targets,
      Expression items,
      Optional<Expression> condition,
      List<Statement> body,
      List<Statement> otherwise)
      implements Statement {}

  /** {@code set a = v}, {@code set a, b = v}, {@code set ns.a = v} (attribute not empty). */
  record Assign(int line, List<String> targets, String attribute, Expression value)
      implements Statement {}

  /** {@code set a}body{@code endset}, filters applied to the body. */
  record AssignBlock(int line, String target, List<Filter> filters, List<Statement> body)
      implements Statement {}

  record Macro(int line, String name, List<Parameter> parameters, List<Statement> body)
      implements Statement {}

  record Parameter(String name, Optional<Expression> fallback) {}

  /** {@code generation}: only marks which text the assistant wrote. */
  record Group(int line, List<Statement> body) implements Statement {}

  record Break(int line) implements Statement {}

  record Continue(int line) implements Statement {}

  /** Something with a value. */
  sealed interface Expression extends Node {}

  record Literal(int line, @Nullable Object value) implements Expression {}

  record Name(int line, String name) implements Expression {}

  record ListLiteral(int line, boolean tuple, List<Expression> items) implements Expression {}

  record DictLiteral(int line, List<Map.Entry<Expression, Expression>> entries)
      implements Expression {}

  record Attribute(int line, Expression base, String name) implements Expression {}

  record Index(int line, Expression base, Expression index) implements Expression {}

  record Slice(
      int line,
      Expression base,
      Optional<Expression> from,
      Optional<Expression> to,
      Optional<Expression> step)
      implements Expression {}

  record Call(int line, Expression callee, Arguments arguments) implements Expression {}

  record Arguments(List<Expression> positional, Map<String, Expression> named) {
    static final Arguments NONE = new Arguments(List.of(), Map.of());
  }

  /** The base of the outermost filter of a set block is the body's text. */
  record Filter(int line, Optional<Expression> base, String name, Arguments arguments)
      implements Expression {}

  record Test(int line, Expression base, String name, Arguments arguments, boolean negated)
      implements Expression {}

  record Unary(int line, String operator, Expression operand) implements Expression {}

  record Binary(int line, String operator, Expression left, Expression right)
      implements Expression {}

  /** {@code a < b <= c}: each neighbouring pair must hold. */
  record Compare(int line, Expression first, List<Comparison> rest) implements Expression {}

  record Comparison(String operator, Expression right) {}

  record Conditional(
      int line, Expression condition, Expression then, Optional<Expression> otherwise)
      implements Expression {}
}
