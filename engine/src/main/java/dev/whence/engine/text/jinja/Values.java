package dev.whence.engine.text.jinja;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Python's semantics of the values that templates meet: null is None; Boolean, Long, Double,
 * String, {@code List<Object>} (lists and tuples), {@code Map<String, Object>}, {@link Undefined},
 * {@link Callable}. Integers past 64 bits, which only a record brings, are BigInteger: they are
 * written out and compared, and not calculated with.
 */
final class Values {
  /** What a name, key or attribute that does not exist evaluates to. */
  record Undefined(String name) {
    JinjaException error() {
      return new JinjaException("'" + name + "' is undefined");
    }
  }

  /** A macro, function or bound method. */
  interface Callable {
    @Nullable Object call(List<@Nullable Object> positional, Map<String, @Nullable Object> named);
  }

  /** {@code namespace()}: the only value that templates may change. */
  static final class Namespace extends java.util.LinkedHashMap<String, @Nullable Object> {
    private static final long serialVersionUID = 1L;
  }

  /** A list that Python would write with parentheses. */
  static final class Tuple extends ArrayList<@Nullable Object> {
    private static final long serialVersionUID = 1L;
  }

  /** The longest string, in UTF-16 code units, that a template may build. */
  static final int MAX_TEXT = 16 << 20;

  /** The longest list that a template may build. */
  static final int MAX_ITEMS = 1_000_000;

  private Values() {}

  static boolean truth(@Nullable Object value) {
    if (value == null || value instanceof Undefined) {
      return false;
    }
    if (value instanceof Boolean flag) {
      return flag;
    }
    if (value instanceof Number number) {
      return number.doubleValue() != 0;
    }
    if (value instanceof String text) {
      return !text.isEmpty();
    }
    if (value instanceof Namespace) {
      return true;
    }
    if (value instanceof Collection<?> items) {
      return !items.isEmpty();
    }
    if (value instanceof Map<?, ?> map) {
      return !map.isEmpty();
    }
    return true;
  }

  /** str(). */
  static String text(@Nullable Object value, Budget budget) {
    if (value instanceof String text) {
      return text;
    }
    if (value instanceof Undefined) {
      return "";
    }
    StringBuilder out = new StringBuilder();
    repr(value, out, 0);
    return budget.made(out.toString());
  }

  private static void repr(@Nullable Object value, StringBuilder out, int depth) {
    if (depth > 60 || out.length() > MAX_TEXT) {
      throw new JinjaException("a value is too large or too deep to be written out");
    }
    if (value == null) {
      out.append("None");
    } else if (value instanceof Boolean flag) {
      out.append(flag ? "True" : "False");
    } else if (value instanceof Long || value instanceof BigInteger) {
      out.append(value);
    } else if (value instanceof Double number) {
      out.append(number(number));
    } else if (value instanceof String text) {
      out.append(Strings.quoted(text));
    } else if (value instanceof List<?> items) {
      out.append(value instanceof Tuple ? '(' : '[');
      String separator = "";
      for (Object item : items) {
        out.append(separator);
        repr(item, out, depth + 1);
        separator = ", ";
      }
      out.append(!(value instanceof Tuple) ? "]" : items.size() == 1 ? ",)" : ")");
    } else if (value instanceof Map<?, ?> map && !(value instanceof Namespace)) {
      out.append('{');
      String separator = "";
      for (Map.Entry<?, ?> entry : map.entrySet()) {
        out.append(separator);
        repr(entry.getKey(), out, depth + 1);
        out.append(": ");
        repr(entry.getValue(), out, depth + 1);
        separator = ", ";
      }
      out.append('}');
    } else {
      throw new JinjaException(kind(value) + " can not be written out");
    }
  }

  /** repr() of a float. */
  static String number(double value) {
    if (Double.isNaN(value)) {
      return "nan";
    }
    if (Double.isInfinite(value)) {
      return value > 0 ? "inf" : "-inf";
    }
    double size = Math.abs(value);
    if (size != 0 && (size < 1e-4 || size >= 1e16)) {
      String text = Double.toString(value).replace(".0E", "E").replace("E", "e");
      int exponent = text.indexOf('e') + 1;
      String digits = text.substring(exponent);
      boolean negative = digits.startsWith("-");
      String plain = negative ? digits.substring(1) : digits;
      return text.substring(0, exponent)
          + (negative ? "-" : "+")
          + (plain.length() < 2 ? "0" + plain : plain);
    }
    if (value == 0) {
      return 1 / value < 0 ? "-0.0" : "0.0";
    }
    // Double.toString writes 1.0E-4, and before Java 19 0.0020: as a plain number, a zero too many
    String plain = new BigDecimal(Double.toString(value)).stripTrailingZeros().toPlainString();
    return plain.indexOf('.') >= 0 ? plain : plain + ".0";
  }

  static String kind(@Nullable Object value) {
    if (value == null) {
      return "None";
    }
    if (value instanceof Undefined undefined) {
      return "undefined '" + undefined.name() + "'";
    }
    if (value instanceof Boolean) {
      return "a boolean";
    }
    if (value instanceof Number) {
      return "a number";
    }
    if (value instanceof String) {
      return "a string";
    }
    if (value instanceof Namespace) {
      return "a namespace";
    }
    if (value instanceof List<?>) {
      return "a list";
    }
    return value instanceof Map<?, ?> ? "a mapping" : "a function";
  }

  static boolean equal(@Nullable Object left, @Nullable Object right, Budget budget) {
    budget.items(1);
    if (isNumber(left) && isNumber(right)) {
      return compareNumbers(left, right) == 0;
    }
    if (left instanceof Undefined || right instanceof Undefined) {
      return left instanceof Undefined && right instanceof Undefined;
    }
    if (left instanceof String a && right instanceof String b) {
      if (a.length() != b.length()) {
        return false;
      }
      budget.read(a.length());
      return a.equals(b);
    }
    if (left instanceof List<?> a && right instanceof List<?> b) {
      budget.step();
      if (a.size() != b.size()) {
        return false;
      }
      for (int i = 0; i < a.size(); i++) {
        if (!equal(a.get(i), b.get(i), budget)) {
          return false;
        }
      }
      return true;
    }
    if (left instanceof Map<?, ?> a && right instanceof Map<?, ?> b) {
      budget.step();
      if (a.size() != b.size()) {
        return false;
      }
      for (Map.Entry<?, ?> entry : a.entrySet()) {
        budget.read(string(entry.getKey()).length());
        if (!b.containsKey(entry.getKey())
            || !equal(entry.getValue(), b.get(entry.getKey()), budget)) {
          return false;
        }
      }
      return true;
    }
    return Objects.equals(left, right);
  }

  /** Numbers and booleans, as in Python. */
  static boolean isNumber(@Nullable Object value) {
    return value instanceof Long
        || value instanceof Double
        || value instanceof Boolean
        || value instanceof BigInteger;
  }

  static int compare(
      @Nullable Object left, @Nullable Object right, String operator, Budget budget) {
    budget.items(1);
    if (isNumber(left) && isNumber(right)) {
      return compareNumbers(left, right);
    }
    if (left instanceof String a && right instanceof String b) {
      budget.read(Math.min(a.length(), b.length()));
      return Strings.compare(a, b);
    }
    throw new JinjaException(
        "'" + operator + "' between " + kind(left) + " and " + kind(right) + " is not supported");
  }

  /** Exact, also between integers and floats: else sorting would meet an order that is none. */
  private static int compareNumbers(@Nullable Object left, @Nullable Object right) {
    if (!(left instanceof Double) && !(right instanceof Double)) {
      return left instanceof BigInteger || right instanceof BigInteger
          ? exact(left).compareTo(exact(right))
          : Long.compare(integer(left), integer(right));
    }
    double a = floating(left) + 0.0; // -0.0 is 0.0
    double b = floating(right) + 0.0;
    int order = Double.compare(a, b);
    return order != 0 || Double.isNaN(a) || Double.isInfinite(a)
        ? order
        : exact(left).compareTo(exact(right));
  }

  private static BigDecimal exact(@Nullable Object number) {
    if (number instanceof BigInteger large) {
      return new BigDecimal(large);
    }
    return number instanceof Double floating
        ? new BigDecimal(floating)
        : BigDecimal.valueOf(integer(number));
  }

  static long integer(@Nullable Object value) {
    if (value instanceof Long number) {
      return number;
    }
    if (value instanceof Boolean flag) {
      return flag ? 1 : 0;
    }
    if (value instanceof BigInteger) {
      throw new JinjaException("integers past 64 bits are not calculated with");
    }
    throw new JinjaException("an integer is wanted, not " + kind(value));
  }

  static double floating(@Nullable Object value) {
    if (value instanceof BigInteger large) {
      return large.doubleValue();
    }
    return value instanceof Double number ? number : (double) integer(value);
  }

  static String string(@Nullable Object value) {
    if (value instanceof String text) {
      return text;
    }
    throw new JinjaException("a string is wanted, not " + kind(value));
  }

  static @Nullable Object arithmetic(
      String operator, @Nullable Object a, @Nullable Object b, Budget budget) {
    if (isNumber(a) && isNumber(b)) {
      try {
        return a instanceof Double || b instanceof Double || operator.equals("/")
            ? floats(operator, floating(a), floating(b))
            : integers(operator, integer(a), integer(b));
      } catch (ArithmeticException e) {
        throw new JinjaException("'" + operator + "' overflows or divides by zero");
      }
    }
    if (operator.equals("+") && a instanceof String left && b instanceof String right) {
      return joined(left, right, budget);
    }
    if (operator.equals("+") && a instanceof List<?> left && b instanceof List<?> right) {
      if (left.size() + right.size() > MAX_ITEMS) {
        throw new JinjaException("'+' makes a list of more than " + MAX_ITEMS + " items");
      }
      budget.items(left.size() + right.size());
      List<@Nullable Object> joined = new ArrayList<>(left.size() + right.size());
      joined.addAll(left);
      joined.addAll(right);
      return joined;
    }
    if (operator.equals("*") && a instanceof String text && b instanceof Long times) {
      if (times > 0 && text.length() * (double) times > 1 << 20) {
        throw new JinjaException("'*' makes a string of more than 1 MiB");
      }
      return budget.made(text.repeat((int) Math.max(0, Math.min(times, 1 << 20))));
    }
    if (a instanceof Undefined undefined) {
      throw undefined.error();
    }
    if (b instanceof Undefined undefined) {
      throw undefined.error();
    }
    throw new JinjaException(
        "'" + operator + "' between " + kind(a) + " and " + kind(b) + " is not supported");
  }

  /** Two strings as one; doubling in a loop ends at the bounds, too. */
  static String joined(String left, String right, Budget budget) {
    long length = left.length() + (long) right.length();
    Strings.bounded(length);
    budget.made(length);
    return left + right;
  }

  private static Object integers(String operator, long a, long b) {
    return switch (operator) {
      case "+" -> Math.addExact(a, b);
      case "-" -> Math.subtractExact(a, b);
      case "*" -> Math.multiplyExact(a, b);
      case "//" -> Math.floorDiv(a, b);
      case "%" -> Math.floorMod(a, b);
      default -> {
        double power = Math.pow((double) a, (double) b);
        if (b < 0 || Math.abs(power) > 1L << 53) {
          throw new JinjaException("'**' is out of range");
        }
        yield (long) power;
      }
    };
  }

  private static Object floats(String operator, double a, double b) {
    if (b == 0 && (operator.equals("/") || operator.equals("//") || operator.equals("%"))) {
      throw new ArithmeticException();
    }
    return switch (operator) {
      case "+" -> a + b;
      case "-" -> a - b;
      case "*" -> a * b;
      case "/" -> a / b;
      case "//" -> Math.floor(a / b);
      case "%" -> a - b * Math.floor(a / b);
      default -> Math.pow(a, b);
    };
  }

  /** {@code item in container}. */
  static boolean contains(@Nullable Object container, @Nullable Object item, Budget budget) {
    if (container instanceof String text) {
      budget.read(text.length());
      return Strings.indexOf(text, string(item), 0) >= 0;
    }
    if (container instanceof Map<?, ?> map) {
      return item instanceof String key && has(map, key, budget);
    }
    if (container instanceof List<?> items) {
      for (Object each : items) {
        if (equal(each, item, budget)) {
          return true;
        }
      }
      return false;
    }
    if (container instanceof Undefined) {
      return false;
    }
    throw new JinjaException("'in' " + kind(container) + " is not supported");
  }

  /** Whether a mapping has a key, which is compared with one of its own from end to end. */
  static boolean has(Map<?, ?> map, String key, Budget budget) {
    budget.read(key.length());
    return map.containsKey(key);
  }

  /** What a for loop runs over. Not to be changed: a list is not copied for it. */
  static List<@Nullable Object> items(@Nullable Object value, Budget budget) {
    if (value instanceof List<?> items) {
      return Collections.unmodifiableList(items);
    }
    if (value instanceof Map<?, ?> map && !(value instanceof Namespace)) {
      budget.items(map.size());
      return new ArrayList<>(map.keySet());
    }
    if (value instanceof String text) {
      budget.steps(text.length()); // a string each
      List<@Nullable Object> characters = new ArrayList<>();
      text.codePoints().forEach(c -> characters.add(Character.toString(c)));
      return characters;
    }
    if (value instanceof Undefined) {
      return List.of();
    }
    throw new JinjaException(kind(value) + " can not be iterated over");
  }

  /** The items as a list of one's own. */
  static List<@Nullable Object> copied(@Nullable Object value, Budget budget) {
    List<@Nullable Object> items = items(value, budget);
    budget.items(items.size());
    return new ArrayList<>(items);
  }

  static long length(@Nullable Object value, Budget budget) {
    if (value instanceof String text) {
      budget.read(text.length());
      return Strings.length(text);
    }
    if (value instanceof Map<?, ?> map && !(value instanceof Namespace)) {
      return map.size();
    }
    return items(value, budget).size();
  }

  /** json.dumps(value, ensure_ascii=False, indent=indent); indent -1: on one line. */
  static void json(@Nullable Object value, int indent, int depth, StringBuilder out) {
    if (depth > 60 || out.length() > MAX_TEXT) {
      throw new JinjaException("a value is too large or too deep for tojson");
    }
    if (value == null) {
      out.append("null");
    } else if (value instanceof Boolean || value instanceof Long || value instanceof BigInteger) {
      out.append(value);
    } else if (value instanceof Double number) {
      out.append(number(number));
    } else if (value instanceof String text) {
      Strings.json(text, out);
    } else if (value instanceof List<?> items) {
      String separator = "";
      out.append('[');
      for (Object item : items) {
        out.append(separator);
        newLine(indent, depth + 1, out);
        json(item, indent, depth + 1, out);
        separator = indent < 0 ? ", " : ",";
      }
      if (!items.isEmpty()) {
        newLine(indent, depth, out);
      }
      out.append(']');
    } else if (value instanceof Map<?, ?> map && !(value instanceof Namespace)) {
      String separator = "";
      out.append('{');
      for (Map.Entry<?, ?> entry : map.entrySet()) {
        out.append(separator);
        newLine(indent, depth + 1, out);
        Strings.json(string(entry.getKey()), out);
        out.append(": ");
        json(entry.getValue(), indent, depth + 1, out);
        separator = indent < 0 ? ", " : ",";
      }
      if (!map.isEmpty()) {
        newLine(indent, depth, out);
      }
      out.append('}');
    } else {
      throw new JinjaException("tojson of " + kind(value) + " is not supported");
    }
  }

  private static void newLine(int indent, int depth, StringBuilder out) {
    if (indent >= 0) {
      out.append('\n').append(" ".repeat(indent * depth));
    }
  }
}
