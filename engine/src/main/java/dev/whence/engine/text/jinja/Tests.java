package dev.whence.engine.text.jinja;

import dev.whence.engine.text.jinja.Values.Callable;
import dev.whence.engine.text.jinja.Values.Namespace;
import dev.whence.engine.text.jinja.Values.Undefined;
import java.math.BigInteger;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Jinja2's tests: {@code x is name}. */
final class Tests {
  private Tests() {}

  static boolean apply(String name, @Nullable Object value, Parameters given, Budget budget) {
    budget.step();
    boolean result =
        switch (name) {
          case "defined" -> !(value instanceof Undefined);
          case "undefined" -> value instanceof Undefined;
          case "none" -> value == null;
          case "string" -> value instanceof String;
          case "boolean" -> value instanceof Boolean;
          case "number" -> Values.isNumber(value);
          case "integer" -> value instanceof Long || value instanceof BigInteger;
          case "float" -> value instanceof Double;
          case "mapping" -> value instanceof Map<?, ?> && !(value instanceof Namespace);
          // A string and a mapping have a length and can be indexed, too; undefined has a length
          // and can be iterated over.
          case "sequence" ->
              value instanceof String
                  || value instanceof List<?>
                  || (value instanceof Map<?, ?> && !(value instanceof Namespace))
                  || value instanceof Undefined;
          case "iterable" ->
              value instanceof String
                  || value instanceof List<?>
                  || (value instanceof Map<?, ?> && !(value instanceof Namespace))
                  || value instanceof Undefined;
          case "callable" -> value instanceof Callable;
          case "true" -> Boolean.TRUE.equals(value);
          case "false" -> Boolean.FALSE.equals(value);
          case "odd" -> Math.floorMod(Values.integer(value), 2L) == 1;
          case "even" -> Math.floorMod(Values.integer(value), 2L) == 0;
          case "divisibleby" ->
              Math.floorMod(Values.integer(value), nonZero(given.required(0, "num"))) == 0;
          case "lower" -> {
            String text = Values.text(value, budget);
            budget.read(2L * text.length());
            yield text.equals(Strings.lower(text)) && !text.equals(Strings.upper(text));
          }
          case "upper" -> {
            String text = Values.text(value, budget);
            budget.read(2L * text.length());
            yield text.equals(Strings.upper(text)) && !text.equals(Strings.lower(text));
          }
          case "eq", "equalto", "==" -> Values.equal(value, given.required(0, "other"), budget);
          case "ne", "!=" -> !Values.equal(value, given.required(0, "other"), budget);
          case "lt", "lessthan" ->
              Values.compare(value, given.required(0, "other"), "<", budget) < 0;
          case "le" -> Values.compare(value, given.required(0, "other"), "<=", budget) <= 0;
          case "gt", "greaterthan" ->
              Values.compare(value, given.required(0, "other"), ">", budget) > 0;
          case "ge" -> Values.compare(value, given.required(0, "other"), ">=", budget) >= 0;
          case "in" -> Values.contains(given.required(0, "container"), value, budget);
          default ->
              throw new JinjaException("the test 'is " + given.callee() + "' is not supported");
        };
    given.done();
    return result;
  }

  private static long nonZero(@Nullable Object value) {
    long number = Values.integer(value);
    if (number == 0) {
      throw new JinjaException("'divisibleby' zero");
    }
    return number;
  }
}
