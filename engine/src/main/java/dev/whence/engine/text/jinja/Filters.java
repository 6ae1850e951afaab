package dev.whence.engine.text.jinja;

import dev.whence.engine.text.jinja.Values.Undefined;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** Jinja2's filters, and tojson as transformers has it. */
final class Filters {
  private static final Pattern INDEX = Pattern.compile("[0-9]{1,18}");
  private static final Pattern DECIMAL =
      Pattern.compile("[-+]?(?:[0-9]++(?:\\.[0-9]*+)?+|\\.[0-9]++)(?:[eE][-+]?[0-9]++)?+");

  /** A text that is longer is no number: reading one takes the square of its length. */
  private static final int LONGEST_NUMBER = 1000;

  private static final int LONGEST_PATH = 64;

  private Filters() {}

  static @Nullable Object apply(
      String name, @Nullable Object value, Parameters given, Budget budget) {
    budget.step();
    Object result = filter(name, value, given, budget);
    given.done();
    return result;
  }

  private static @Nullable Object filter(
      String name, @Nullable Object value, Parameters given, Budget budget) {
    return switch (name) {
      case "trim" ->
          Methods.stripped(read(value, budget), given.get(0, "chars", null), true, true, budget);
      case "tojson" -> budget.made(json(value, given));
      case "length", "count" -> Values.length(value, budget);
      case "upper" -> budget.made(Strings.upper(read(value, budget)));
      case "lower" -> budget.made(Strings.lower(read(value, budget)));
      case "title" -> budget.made(Strings.titleOfWords(read(value, budget)));
      case "capitalize" -> budget.made(Strings.capitalize(read(value, budget)));
      case "string" -> Values.text(value, budget);
      case "safe" -> value;
      case "default", "d" -> {
        Object fallback = given.get(0, "default_value", "");
        boolean falsy = Values.truth(given.get(1, "boolean", false));
        yield value instanceof Undefined || (falsy && !Values.truth(value)) ? fallback : value;
      }
      case "join" -> join(value, given, budget);
      case "first" -> edge(value, true, budget);
      case "last" -> edge(value, false, budget);
      case "list" -> Values.copied(value, budget);
      case "reverse" -> reversed(value, budget);
      case "replace" ->
          budget.made(
              Strings.replace(
                  read(value, budget),
                  Values.string(given.required(0, "old")),
                  Values.string(given.required(1, "new")),
                  count(given.get(2, "count", null))));
      case "int" -> integer(value, given, budget);
      case "float" -> floating(value, given, budget);
      case "abs" ->
          value instanceof Double number
              ? (Object) Math.abs(number)
              : (Object) Math.abs(Values.integer(value));
      case "items" -> {
        if (value instanceof Undefined) {
          yield List.of();
        }
        if (!(value instanceof Map<?, ?> map)) {
          throw new JinjaException("'items' of " + Values.kind(value));
        }
        yield Methods.items(map, budget);
      }
      case "dictsort" -> {
        if (!(value instanceof Map<?, ?> map)) {
          throw new JinjaException("'dictsort' of " + Values.kind(value));
        }
        yield sorted(Methods.items(map, budget), pair -> ((List<?>) pair).get(0), false, budget);
      }
      case "sort" ->
          sorted(
              Values.items(value, budget),
              item -> item,
              Values.truth(given.get(0, "reverse", false)),
              budget);
      case "unique" -> {
        List<@Nullable Object> kept = new ArrayList<>();
        List<@Nullable Object> keys = new ArrayList<>();
        for (Object item : Values.items(value, budget)) {
          Object key = folded(item, budget);
          if (!Values.contains(keys, key, budget)) {
            keys.add(key);
            kept.add(item);
          }
        }
        yield kept;
      }
      case "map" -> mapped(value, given, budget);
      case "select", "reject" -> selected(value, given, 0, name.equals("select"), budget);
      case "selectattr", "rejectattr" ->
          selected(value, given, 1, name.equals("selectattr"), budget);
      case "sum" -> {
        Object sum = given.get(1, "start", 0L);
        for (Object item : Values.items(value, budget)) {
          budget.items(1);
          sum = Values.arithmetic("+", sum, item, budget);
        }
        yield sum;
      }
      case "indent" -> budget.made(indent(read(value, budget), given, budget));
      default -> throw new JinjaException("the filter '" + given.callee() + "' is not supported");
    };
  }

  private static String read(@Nullable Object value, Budget budget) {
    String text = Values.text(value, budget);
    budget.read(text.length());
    return text;
  }

  private static @Nullable Object folded(@Nullable Object value, Budget budget) {
    budget.items(1);
    return value instanceof String text ? budget.made(Strings.lower(text)) : value;
  }

  private record Keyed(@Nullable Object key, @Nullable Object item) {}

  /** By keys without case; what is equal keeps its order, in reverse, too. */
  private static List<@Nullable Object> sorted(
      List<@Nullable Object> items,
      UnaryOperator<@Nullable Object> key,
      boolean reverse,
      Budget budget) {
    List<Keyed> keyed = new ArrayList<>();
    for (Object item : items) {
      keyed.add(new Keyed(folded(key.apply(item), budget), item));
    }
    Comparator<Keyed> order = (a, b) -> Values.compare(a.key(), b.key(), "sort", budget);
    keyed.sort(reverse ? order.reversed() : order);
    List<@Nullable Object> sorted = new ArrayList<>();
    keyed.forEach(each -> sorted.add(each.item()));
    return sorted;
  }

  /**
   * How to an attribute that a filter's argument names, which may be a value of the record: an
   * index, or names and indices between points (Jinja2's make_attrgetter).
   */
  private static List<Object> path(@Nullable Object attribute, Budget budget) {
    if (!(attribute instanceof String text)) {
      return List.of(Values.integer(attribute));
    }
    budget.read(text.length());
    List<Object> parts = Strings.split(text, ".", LONGEST_PATH);
    if (parts.size() > LONGEST_PATH) {
      throw new JinjaException("an attribute of more than " + LONGEST_PATH + " parts");
    }
    budget.items(parts.size());
    List<Object> path = new ArrayList<>();
    for (Object part : parts) {
      String name = Values.string(part);
      path.add(INDEX.matcher(name).matches() ? (Object) Long.valueOf(name) : name);
    }
    return path;
  }

  /**
   * What stands at the end of a path.
   *
   * @param instead of what is not there
   */
  private static @Nullable Object attribute(
      @Nullable Object item, List<Object> path, Optional<Object> instead, Budget budget) {
    Object found = item;
    for (Object part : path) {
      budget.items(1);
      found = Renderer.item(found, part, false, budget);
      found = found instanceof Undefined ? instead.orElse(found) : found;
    }
    return found;
  }

  private static long count(@Nullable Object value) {
    return value == null ? -1 : Values.integer(value);
  }

  private static String json(@Nullable Object value, Parameters given) {
    Object indent = given.get(1, "indent", null);
    boolean ascii = Values.truth(given.get(0, "ensure_ascii", false));
    if (ascii) {
      throw new JinjaException("'tojson' with ensure_ascii is not supported");
    }
    long width = indent == null ? -1 : Values.integer(indent);
    if (width > 16) {
      throw new JinjaException("'tojson' with an indent above 16 is not supported");
    }
    StringBuilder out = new StringBuilder();
    Values.json(value, (int) width, 0, out);
    return out.toString();
  }

  private static String join(@Nullable Object value, Parameters given, Budget budget) {
    String separator = Values.text(given.get(0, "d", ""), budget);
    Object attribute = given.get(1, "attribute", null);
    List<Object> path = attribute == null ? List.of() : path(attribute, budget);
    List<String> texts = new ArrayList<>();
    for (Object item : Values.items(value, budget)) {
      budget.items(1);
      texts.add(Values.text(attribute(item, path, Optional.empty(), budget), budget));
    }
    return budget.made(Strings.join(separator, texts));
  }

  private static @Nullable Object edge(@Nullable Object value, boolean first, Budget budget) {
    if (value instanceof String text && !text.isEmpty()) {
      return Character.toString(text.codePointAt(Strings.offset(text, first ? 0 : -1)));
    }
    List<@Nullable Object> items = Values.items(value, budget);
    return items.isEmpty()
        ? new Undefined(first ? "first of nothing" : "last of nothing")
        : items.get(first ? 0 : items.size() - 1);
  }

  private static Object reversed(@Nullable Object value, Budget budget) {
    if (value instanceof String text) {
      return budget.made(new StringBuilder(text).reverse().toString());
    }
    List<@Nullable Object> items = Values.copied(value, budget);
    Collections.reverse(items);
    return items;
  }

  private static Object integer(@Nullable Object value, Parameters given, Budget budget) {
    Object fallback = given.get(0, "default", 0L);
    if (value instanceof Double number && !number.isNaN() && !number.isInfinite()) {
      return (long) number.doubleValue();
    }
    if (value instanceof BigInteger) {
      return value;
    }
    if (value instanceof Long || value instanceof Boolean) {
      return Values.integer(value);
    }
    if (value instanceof String text) {
      String digits = number(text, budget);
      try {
        return Long.parseLong(digits);
      } catch (NumberFormatException e) {
        if (DECIMAL.matcher(digits).matches()) {
          return (long) Double.parseDouble(digits); // Jinja2: "42.23" is 42
        }
      }
    }
    return Values.integer(fallback); // Jinja2: a value that is no number gives the default
  }

  /** What stands between the white space around it, or nothing if that is too long for a number. */
  private static String number(String text, Budget budget) {
    budget.read(text.length());
    String digits = Strings.strip(text, true, true);
    return digits.length() > LONGEST_NUMBER ? "" : digits;
  }

  private static Object floating(@Nullable Object value, Parameters given, Budget budget) {
    Object fallback = given.get(0, "default", 0.0);
    if (Values.isNumber(value)) {
      return Values.floating(value);
    }
    try {
      return Double.parseDouble(number(Values.string(value), budget));
    } catch (NumberFormatException | JinjaException e) {
      return Values.floating(fallback); // as with int
    }
  }

  private static Object mapped(@Nullable Object value, Parameters given, Budget budget) {
    List<@Nullable Object> result = new ArrayList<>();
    if (given.has(99, "attribute")) {
      List<Object> path = path(given.get(99, "attribute", null), budget);
      Optional<Object> instead = Optional.ofNullable(given.get(99, "default", null));
      for (Object item : Values.items(value, budget)) {
        result.add(attribute(item, path, instead, budget));
      }
      given.get(0, "attribute", null);
      return result;
    }
    List<@Nullable Object> arguments = given.positional();
    if (arguments.isEmpty()) {
      throw new JinjaException("'map' lacks a filter or an attribute");
    }
    String filter = Values.string(arguments.get(0));
    List<@Nullable Object> rest = arguments.subList(1, arguments.size());
    for (Object item : Values.items(value, budget)) {
      result.add(apply(filter, item, new Parameters("given to map", rest, Map.of()), budget));
    }
    return result;
  }

  private static Object selected(
      @Nullable Object value, Parameters given, int skip, boolean keep, Budget budget) {
    List<@Nullable Object> arguments = given.positional();
    List<Object> path = skip == 0 ? List.of() : path(given.required(0, "attribute"), budget);
    List<@Nullable Object> result = new ArrayList<>();
    for (Object item : Values.items(value, budget)) {
      budget.items(1);
      Object tested = attribute(item, path, Optional.empty(), budget);
      boolean holds;
      if (arguments.size() == skip) {
        holds = Values.truth(tested);
      } else {
        String test = Values.string(arguments.get(skip));
        holds =
            Tests.apply(
                test,
                tested,
                new Parameters(
                    "given to select", arguments.subList(skip + 1, arguments.size()), Map.of()),
                budget);
      }
      if (holds == keep) {
        result.add(item);
      }
    }
    return result;
  }

  private static String indent(String text, Parameters given, Budget budget) {
    Object width = given.get(0, "width", 4L);
    boolean first = Values.truth(given.get(1, "first", false));
    boolean blank = Values.truth(given.get(2, "blank", false));
    long spaces = width instanceof String ? -1 : Values.integer(width);
    if (spaces > 1000) {
      throw new JinjaException("'indent' by more than 1000");
    }
    String margin = width instanceof String own ? own : " ".repeat((int) Math.max(0, spaces));
    List<Object> lines = Strings.split(text, "\n", -1);
    budget.steps(lines.size());
    Strings.bounded(text.length() + (long) lines.size() * margin.length());
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < lines.size(); i++) {
      String line = Values.string(lines.get(i));
      boolean indented = i == 0 ? first : blank || !line.isEmpty();
      out.append(i == 0 ? "" : "\n").append(indented ? margin : "").append(line);
    }
    return out.toString();
  }
}
