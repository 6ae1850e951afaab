package dev.whence.engine.text.jinja;

import dev.whence.engine.text.jinja.Values.Callable;
import dev.whence.engine.text.jinja.Values.Namespace;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** A parsed template. Safe for use by several threads. */
public final class JinjaTemplate {
  private static final int MAX_SOURCE = 1 << 20;
  private static final int MAX_RANGE = 100_000;

  private final List<Node.Statement> statements;

  private JinjaTemplate(List<Node.Statement> statements) {
    this.statements = statements;
  }

  /**
   * Parses a template.
   *
   * @throws JinjaException if it is not well-formed, too large, or has a tag that is not supported
   */
  public static JinjaTemplate parse(String source) {
    if (source.length() > MAX_SOURCE) {
      throw new JinjaException("the template has more than " + MAX_SOURCE + " characters");
    }
    try {
      return new JinjaTemplate(Parser.parse(source));
    } catch (StackOverflowError e) {
      throw new JinjaException("the template is nested too deeply");
    }
  }

  /**
   * Renders the template.
   *
   * @param variables null, Boolean, Long, BigInteger, Double, String, List and Map (String keys)
   *     values
   * @param now what {@code strftime_now} tells, in UTC; null: it is not known, and the template
   *     sees no such function
   * @throws JinjaException if it raises, meets something that is not supported, or exceeds a bound
   */
  public String render(Map<String, ? extends @Nullable Object> variables, @Nullable Instant now) {
    Budget budget = new Budget();
    Map<String, @Nullable Object> all = new LinkedHashMap<>();
    all.put("raise_exception", (Callable) (positional, named) -> raise());
    if (now != null) {
      all.put("strftime_now", (Callable) (positional, named) -> time(positional, now, budget));
    }
    all.put("namespace", (Callable) (positional, named) -> namespace(positional, named, budget));
    all.put("dict", (Callable) (positional, named) -> dict(positional, named, budget));
    all.put("range", (Callable) (positional, named) -> range(positional, budget));
    all.putAll(variables);
    try {
      return new Renderer(budget).render(statements, all);
    } catch (StackOverflowError e) {
      throw new JinjaException("the template is nested too deeply");
    }
  }

  /** The template's own words are left out: it may build them from the conversation. */
  private static Object raise() {
    throw new JinjaException("the template calls raise_exception: it refuses this conversation");
  }

  private static Object namespace(
      List<@Nullable Object> positional, Map<String, @Nullable Object> named, Budget budget) {
    Namespace namespace = new Namespace();
    fill(namespace, positional, budget);
    namespace.putAll(named);
    return namespace;
  }

  private static Object dict(
      List<@Nullable Object> positional, Map<String, @Nullable Object> named, Budget budget) {
    Map<String, @Nullable Object> map = new LinkedHashMap<>();
    fill(map, positional, budget);
    map.putAll(named);
    return map;
  }

  private static void fill(
      Map<String, @Nullable Object> map, List<@Nullable Object> positional, Budget budget) {
    for (Object from : positional) {
      if (!(from instanceof Map<?, ?> given)) {
        throw new JinjaException("namespace() and dict() are made of mappings and names only");
      }
      budget.steps(given.size());
      given.forEach((key, value) -> map.put(Values.string(key), value));
    }
  }

  private static Object range(List<@Nullable Object> positional, Budget budget) {
    if (positional.isEmpty() || positional.size() > 3) {
      throw new JinjaException("range() takes one to three integers");
    }
    long from = positional.size() == 1 ? 0 : Values.integer(positional.get(0));
    long to = Values.integer(positional.get(positional.size() == 1 ? 0 : 1));
    long step = positional.size() == 3 ? Values.integer(positional.get(2)) : 1;
    if (step == 0) {
      throw new JinjaException("range() with step zero");
    }
    List<Object> items = new ArrayList<>();
    for (long at = from; step > 0 ? at < to : at > to; at += step) {
      if (items.size() == MAX_RANGE) {
        throw new JinjaException("range() of more than " + MAX_RANGE + " integers");
      }
      items.add(at);
      if (step > 0 ? at > Long.MAX_VALUE - step : at < Long.MIN_VALUE - step) {
        break;
      }
    }
    budget.items(items.size());
    return items;
  }

  /** strftime of the C locale. */
  private static String time(List<@Nullable Object> positional, Instant now, Budget budget) {
    if (positional.size() != 1) {
      throw new JinjaException("strftime_now() takes one format");
    }
    String format = Values.string(positional.get(0));
    ZonedDateTime at = now.atZone(ZoneOffset.UTC);
    budget.read(format.length());
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < format.length(); i++) {
      char c = format.charAt(i);
      if (c != '%' || i + 1 == format.length()) {
        out.append(c);
        continue;
      }
      budget.steps(4); // a formatter is made for each
      char directive = format.charAt(++i);
      boolean bare = directive == '-' && i + 1 < format.length();
      if (bare) {
        directive = format.charAt(++i);
      }
      String pattern =
          switch (directive) {
            case 'd' -> bare ? "d" : "dd";
            case 'm' -> bare ? "M" : "MM";
            case 'y' -> "yy";
            case 'Y' -> "yyyy";
            case 'b', 'h' -> "MMM";
            case 'B' -> "MMMM";
            case 'a' -> "EEE";
            case 'A' -> "EEEE";
            case 'H' -> bare ? "H" : "HH";
            case 'I' -> bare ? "h" : "hh";
            case 'M' -> bare ? "m" : "mm";
            case 'S' -> bare ? "s" : "ss";
            case 'p' -> "a";
            case 'j' -> bare ? "D" : "DDD";
            case 'F' -> "yyyy-MM-dd";
            case 'T' -> "HH:mm:ss";
            case '%' -> "'%'";
            default -> throw new JinjaException("strftime_now('%" + directive + "')");
          };
      out.append(DateTimeFormatter.ofPattern(pattern, Locale.US).format(at));
    }
    return budget.made(out.toString());
  }
}
