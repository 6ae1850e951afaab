package dev.whence.engine.text.jinja;

import dev.whence.engine.text.jinja.Node.Expression;
import dev.whence.engine.text.jinja.Node.Statement;
import dev.whence.engine.text.jinja.Values.Callable;
import dev.whence.engine.text.jinja.Values.Namespace;
import dev.whence.engine.text.jinja.Values.Undefined;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Runs a syntax tree. Lexical scopes; a loop's body has a new one each time round. */
final class Renderer {
  private static final int MAX_CALLS = 50;

  /** Blocks, expressions and calls around each other: an end well before that of the stack. */
  private static final int MAX_DEPTH = 400;

  private enum Signal {
    GO_ON,
    BREAK,
    CONTINUE
  }

  /** Variables, innermost first. */
  private record Scope(Map<String, @Nullable Object> variables, @Nullable Scope outer) {
    Scope inner() {
      return new Scope(new LinkedHashMap<>(), this);
    }
  }

  private final Budget budget;
  private int calls;
  private int depth;

  Renderer(Budget budget) {
    this.budget = budget;
  }

  /** Renders statements with the given variables. */
  String render(List<Statement> statements, Map<String, @Nullable Object> variables) {
    StringBuilder out = new StringBuilder();
    Scope globals = new Scope(variables, null);
    run(statements, globals.inner(), out);
    return out.toString();
  }

  private Signal run(List<Statement> statements, Scope scope, StringBuilder out) {
    for (Statement statement : statements) {
      deeper();
      Signal signal = located(statement, () -> run(statement, scope, out));
      depth--;
      if (signal != Signal.GO_ON) {
        return signal;
      }
    }
    return Signal.GO_ON;
  }

  private Signal run(Statement statement, Scope scope, StringBuilder out) {
    budget.step();
    if (statement instanceof Node.Text text) {
      write(text.text(), out);
    } else if (statement instanceof Node.Output output) {
      write(Values.text(value(output.value(), scope), budget), out);
    } else if (statement instanceof Node.If branches) {
      for (Node.Branch branch : branches.branches()) {
        if (branch.condition().isEmpty() || Values.truth(value(branch.condition().get(), scope))) {
          return run(branch.body(), scope, out);
        }
      }
    } else if (statement instanceof Node.For loop) {
      loop(loop, scope, out);
    } else if (statement instanceof Node.Assign assign) {
      assign(assign, scope);
    } else if (statement instanceof Node.AssignBlock block) {
      StringBuilder body = new StringBuilder();
      run(block.body(), scope.inner(), body);
      Object value = body.toString();
      for (Node.Filter filter : block.filters()) {
        value =
            Filters.apply(
                filter.name(), value, parameters(filter.name(), filter.arguments(), scope), budget);
      }
      scope.variables().put(block.target(), value);
    } else if (statement instanceof Node.Macro macro) {
      scope.variables().put(macro.name(), macro(macro, scope));
    } else if (statement instanceof Node.Group group) {
      return run(group.body(), scope, out);
    } else {
      return statement instanceof Node.Break ? Signal.BREAK : Signal.CONTINUE;
    }
    return Signal.GO_ON;
  }

  private void loop(Node.For loop, Scope scope, StringBuilder out) {
    List<@Nullable Object> items = Values.items(value(loop.items(), scope), budget);
    if (loop.condition().isPresent()) {
      List<@Nullable Object> kept = new ArrayList<>();
      for (Object item : items) {
        budget.step();
        Scope inner = scope.inner();
        bind(loop.targets(), item, inner);
        if (Values.truth(value(loop.condition().get(), inner))) {
          kept.add(item);
        }
      }
      items = kept;
    }
    if (items.isEmpty()) {
      run(loop.otherwise(), scope.inner(), out);
      return;
    }
    LoopState state = new LoopState(items);
    for (int i = 0; i < items.size(); i++) {
      budget.step();
      Scope inner = scope.inner();
      state.at(i);
      inner.variables().put("loop", state);
      bind(loop.targets(), items.get(i), inner);
      if (run(loop.body(), inner, out) == Signal.BREAK) {
        return;
      }
    }
  }

  private void bind(List<String> targets, @Nullable Object value, Scope scope) {
    if (targets.size() == 1) {
      scope.variables().put(targets.get(0), value);
      return;
    }
    List<@Nullable Object> items = Values.items(value, budget);
    budget.items(items.size());
    if (items.size() != targets.size()) {
      throw new JinjaException(
          items.size() + " values can not be unpacked into " + targets.size() + " names");
    }
    for (int i = 0; i < targets.size(); i++) {
      scope.variables().put(targets.get(i), items.get(i));
    }
  }

  private void assign(Node.Assign assign, Scope scope) {
    Object value = value(assign.value(), scope);
    if (assign.attribute().isEmpty()) {
      bind(assign.targets(), value, scope);
      return;
    }
    Object target = lookup(assign.targets().get(0), scope);
    if (!(target instanceof Namespace namespace)) {
      throw new JinjaException("'" + assign.targets().get(0) + "' is not a namespace");
    }
    namespace.put(assign.attribute(), value);
  }

  private Callable macro(Node.Macro macro, Scope defined) {
    return (positional, named) -> {
      if (++calls > MAX_CALLS) {
        throw new JinjaException("macros call each other deeper than " + MAX_CALLS);
      }
      Parameters given = new Parameters(macro.name(), positional, named);
      Scope scope = defined.inner();
      List<Node.Parameter> parameters = macro.parameters();
      for (int i = 0; i < parameters.size(); i++) {
        budget.step();
        Node.Parameter parameter = parameters.get(i);
        boolean has = given.has(i, parameter.name());
        Object value = given.get(i, parameter.name(), new Undefined(parameter.name()));
        if (!has && parameter.fallback().isPresent()) {
          value = value(parameter.fallback().get(), scope);
        }
        scope.variables().put(parameter.name(), value);
      }
      given.done();
      StringBuilder out = new StringBuilder();
      run(macro.body(), scope, out);
      calls--;
      return out.toString();
    };
  }

  private void write(String text, StringBuilder out) {
    budget.written(text.length());
    out.append(text);
  }

  private static <T> T located(Node node, java.util.function.Supplier<T> work) {
    try {
      return work.get();
    } catch (JinjaException e) {
      if (String.valueOf(e.getMessage()).startsWith("line ")) {
        throw e;
      }
      throw JinjaException.at(node.line(), String.valueOf(e.getMessage()));
    }
  }

  private @Nullable Object value(Expression expression, Scope scope) {
    budget.step();
    deeper();
    Object value = evaluated(expression, scope);
    depth--;
    return value;
  }

  private void deeper() {
    if (++depth > MAX_DEPTH) {
      throw new JinjaException("the template is nested deeper than " + MAX_DEPTH);
    }
  }

  private @Nullable Object evaluated(Expression expression, Scope scope) {
    if (expression instanceof Node.Literal literal) {
      return literal.value();
    }
    if (expression instanceof Node.Name name) {
      return lookup(name.name(), scope);
    }
    if (expression instanceof Node.Attribute attribute) {
      return attribute(value(attribute.base(), scope), attribute.name(), attribute.name(), budget);
    }
    if (expression instanceof Node.Index index) {
      boolean written = index.index() instanceof Node.Literal;
      return item(value(index.base(), scope), value(index.index(), scope), written, budget);
    }
    if (expression instanceof Node.Slice slice) {
      return slice(
          value(slice.base(), scope),
          bound(slice.from(), scope),
          bound(slice.to(), scope),
          bound(slice.step(), scope));
    }
    if (expression instanceof Node.Call call) {
      return call(call, scope);
    }
    if (expression instanceof Node.Filter filter) {
      Expression base = filter.base().orElseThrow(() -> new JinjaException("a filter of nothing"));
      return Filters.apply(
          filter.name(),
          value(base, scope),
          parameters(filter.name(), filter.arguments(), scope),
          budget);
    }
    if (expression instanceof Node.Test test) {
      Parameters given = parameters(test.name(), test.arguments(), scope);
      return Tests.apply(test.name(), value(test.base(), scope), given, budget) != test.negated();
    }
    if (expression instanceof Node.Conditional conditional) {
      if (Values.truth(value(conditional.condition(), scope))) {
        return value(conditional.then(), scope);
      }
      return conditional.otherwise().isPresent()
          ? value(conditional.otherwise().get(), scope)
          : new Undefined("inline if without else");
    }
    return operation(expression, scope);
  }

  private @Nullable Object operation(Expression expression, Scope scope) {
    if (expression instanceof Node.Binary binary) {
      Object left = value(binary.left(), scope);
      return switch (binary.operator()) {
        case "and" -> Values.truth(left) ? value(binary.right(), scope) : left;
        case "or" -> Values.truth(left) ? left : value(binary.right(), scope);
        case "~" ->
            Values.joined(
                Values.text(left, budget),
                Values.text(value(binary.right(), scope), budget),
                budget);
        default -> Values.arithmetic(binary.operator(), left, value(binary.right(), scope), budget);
      };
    }
    if (expression instanceof Node.Compare compare) {
      Object left = value(compare.first(), scope);
      for (Node.Comparison comparison : compare.rest()) {
        Object right = value(comparison.right(), scope);
        if (!holds(comparison.operator(), left, right)) {
          return false;
        }
        left = right;
      }
      return true;
    }
    if (expression instanceof Node.Unary unary) {
      Object operand = value(unary.operand(), scope);
      return switch (unary.operator()) {
        case "not" -> !Values.truth(operand);
        case "-" ->
            operand instanceof Double number // 0 - 0.0 is 0.0, -0.0 is not
                ? (Object) (-number)
                : Values.arithmetic("-", 0L, operand, budget);
        default -> Values.arithmetic("+", 0L, operand, budget);
      };
    }
    if (expression instanceof Node.ListLiteral list) {
      List<@Nullable Object> items = list.tuple() ? new Values.Tuple() : new ArrayList<>();
      for (Expression item : list.items()) {
        items.add(value(item, scope));
      }
      return items;
    }
    Map<String, @Nullable Object> map = new LinkedHashMap<>();
    for (Map.Entry<Expression, Expression> entry : ((Node.DictLiteral) expression).entries()) {
      String key = Values.string(value(entry.getKey(), scope));
      budget.read(key.length());
      map.put(key, value(entry.getValue(), scope));
    }
    return map;
  }

  private boolean holds(String operator, @Nullable Object left, @Nullable Object right) {
    return switch (operator) {
      case "==" -> Values.equal(left, right, budget);
      case "!=" -> !Values.equal(left, right, budget);
      case "in" -> Values.contains(right, left, budget);
      case "not in" -> !Values.contains(right, left, budget);
      case "<" -> Values.compare(left, right, operator, budget) < 0;
      case "<=" -> Values.compare(left, right, operator, budget) <= 0;
      case ">" -> Values.compare(left, right, operator, budget) > 0;
      default -> Values.compare(left, right, operator, budget) >= 0;
    };
  }

  private @Nullable Object lookup(String name, Scope scope) {
    budget.read(name.length());
    for (Scope at = scope; at != null; at = at.outer()) {
      if (at.variables().containsKey(name)) {
        return at.variables().get(name);
      }
    }
    return new Undefined(name);
  }

  /** {@code base.name}: a method, else the key; errors call it by {@code shown}. */
  static @Nullable Object attribute(
      @Nullable Object base, String name, String shown, Budget budget) {
    if (base instanceof Undefined undefined) {
      throw undefined.error();
    }
    if (base == null) {
      return new Undefined(shown);
    }
    Callable method = Methods.of(base, name, budget);
    if (method != null) {
      return method;
    }
    if (base instanceof LoopState loop) {
      return loop.attribute(name, shown);
    }
    if (base instanceof Map<?, ?> map && Values.has(map, name, budget)) {
      return map.get(name);
    }
    return new Undefined(shown);
  }

  /**
   * @param written the index stands in the template: errors may name it. One that was computed may
   *     be a value of the record.
   */
  static @Nullable Object item(
      @Nullable Object base, @Nullable Object index, boolean written, Budget budget) {
    if (base instanceof Undefined undefined) {
      throw undefined.error();
    }
    if (index instanceof String key) {
      if (base instanceof Map<?, ?> map && Values.has(map, key, budget)) {
        return map.get(key);
      }
      return attribute(base, key, written ? key : "a key", budget);
    }
    if (index instanceof Long position && base instanceof List<?> items) {
      long at = position < 0 ? position + items.size() : position;
      return at < 0 || at >= items.size() ? noIndex(position, written) : items.get((int) at);
    }
    if (index instanceof Long position && base instanceof String text) {
      budget.read(Math.min(Math.abs(Math.max(position, -text.length())), text.length()));
      int at = Strings.offset(text, position);
      return at < 0 ? noIndex(position, written) : Character.toString(text.codePointAt(at));
    }
    return new Undefined("index of " + Values.kind(base));
  }

  private static Undefined noIndex(long position, boolean written) {
    return new Undefined(written ? "index " + position : "an index");
  }

  private Optional<Long> bound(Optional<Expression> expression, Scope scope) {
    if (expression.isEmpty()) {
      return Optional.empty();
    }
    Object value = value(expression.get(), scope);
    return value == null ? Optional.empty() : Optional.of(Values.integer(value));
  }

  private Object slice(
      @Nullable Object base, Optional<Long> from, Optional<Long> to, Optional<Long> step) {
    if (!(base instanceof String) && !(base instanceof List<?>)) {
      throw new JinjaException("a slice of " + Values.kind(base));
    }
    long length = Values.length(base, budget);
    long by = step.orElse(1L);
    if (by == 0) {
      throw new JinjaException("a slice of step zero");
    }
    by = Math.max(-length - 1, Math.min(length + 1, by)); // no overflow
    long lowest = by > 0 ? 0 : -1;
    long highest = by > 0 ? length : length - 1;
    long start = from.map(at -> clamp(at, length, lowest, highest)).orElse(by > 0 ? 0 : length - 1);
    long end = to.map(at -> clamp(at, length, lowest, highest)).orElse(by > 0 ? length : -1);
    if (base instanceof String text) {
      return budget.made(slice(text, start, end, by));
    }
    List<?> items = (List<?>) base;
    List<@Nullable Object> kept = new ArrayList<>();
    for (long at = start; by > 0 ? at < end : at > end; at += by) {
      budget.items(1);
      kept.add(items.get((int) at));
    }
    return kept;
  }

  private static String slice(String text, long start, long end, long by) {
    if (by == 1) {
      int from = text.offsetByCodePoints(0, (int) start);
      return end <= start
          ? ""
          : text.substring(from, text.offsetByCodePoints(from, (int) (end - start)));
    }
    int[] characters = text.codePoints().toArray();
    StringBuilder kept = new StringBuilder();
    for (long at = start; by > 0 ? at < end : at > end; at += by) {
      kept.appendCodePoint(characters[(int) at]);
    }
    return kept.toString();
  }

  private static long clamp(long at, long length, long lowest, long highest) {
    return Math.max(lowest, Math.min(highest, at < 0 ? at + length : at));
  }

  private @Nullable Object call(Node.Call call, Scope scope) {
    Object callee = value(call.callee(), scope);
    if (callee instanceof Undefined undefined) {
      throw new JinjaException("'" + undefined.name() + "' is not a function or method here");
    }
    if (!(callee instanceof Callable callable)) {
      throw new JinjaException(Values.kind(callee) + " can not be called");
    }
    List<@Nullable Object> positional = new ArrayList<>();
    for (Expression argument : call.arguments().positional()) {
      positional.add(value(argument, scope));
    }
    return callable.call(positional, named(call.arguments(), scope));
  }

  private Parameters parameters(String name, Node.Arguments arguments, Scope scope) {
    List<@Nullable Object> positional = new ArrayList<>();
    for (Expression argument : arguments.positional()) {
      positional.add(value(argument, scope));
    }
    return new Parameters(name, positional, named(arguments, scope));
  }

  private Map<String, @Nullable Object> named(Node.Arguments arguments, Scope scope) {
    Map<String, @Nullable Object> named = new LinkedHashMap<>();
    arguments.named().forEach((name, argument) -> named.put(name, value(argument, scope)));
    return named;
  }
}
