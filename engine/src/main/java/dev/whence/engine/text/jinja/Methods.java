package dev.whence.engine.text.jinja;

import dev.whence.engine.text.jinja.Values.Callable;
import dev.whence.engine.text.jinja.Values.Namespace;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The methods of str, dict and list that templates may call; those that mutate are refused. */
final class Methods {
  private static final Set<String> STRING =
      Set.of(
          "startswith",
          "endswith",
          "strip",
          "lstrip",
          "rstrip",
          "split",
          "rsplit",
          "splitlines",
          "upper",
          "lower",
          "title",
          "capitalize",
          "replace",
          "join",
          "find",
          "rfind",
          "count",
          "isdigit",
          "isalpha",
          "isalnum",
          "isspace",
          "isupper",
          "islower",
          "removeprefix",
          "removesuffix");
  private static final Set<String> AFFIX =
      Set.of("startswith", "endswith", "removeprefix", "removesuffix");
  private static final Set<String> MAP = Set.of("items", "keys", "values", "get", "copy");
  private static final Set<String> LIST = Set.of("index", "count", "copy");
  private static final Set<String> MUTATING =
      Set.of(
          "append",
          "extend",
          "insert",
          "pop",
          "remove",
          "clear",
          "update",
          "setdefault",
          "popitem",
          "sort",
          "reverse",
          "add",
          "discard");

  private Methods() {}

  /** The bound method, or null if the value has none of that name. */
  static @Nullable Callable of(Object base, String name, Budget budget) {
    if (base instanceof String text && STRING.contains(name)) {
      return (positional, named) ->
          call(name, text, new Parameters(name, positional, named), budget);
    }
    if (base instanceof Map<?, ?> map && !(base instanceof Namespace) && MAP.contains(name)) {
      return (positional, named) ->
          call(name, map, new Parameters(name, positional, named), budget);
    }
    if (base instanceof List<?> list && LIST.contains(name)) {
      return (positional, named) ->
          call(name, list, new Parameters(name, positional, named), budget);
    }
    if ((base instanceof List<?> || (base instanceof Map<?, ?> && !(base instanceof Namespace)))
        && MUTATING.contains(name)) {
      return (positional, named) -> {
        throw new JinjaException("the method '" + name + "' changes a value, which is not allowed");
      };
    }
    return null;
  }

  private static @Nullable Object call(String name, String text, Parameters given, Budget budget) {
    if (!AFFIX.contains(name)) {
      // Those that ask what each character is take longer over it.
      budget.read((name.startsWith("is") ? 4L : 1L) * text.length());
    }
    Object result =
        switch (name) {
          case "startswith", "endswith" -> affix(name, text, given.required(0, "prefix"), budget);
          case "strip" -> stripped(text, given.get(0, "chars", null), true, true, budget);
          case "lstrip" -> stripped(text, given.get(0, "chars", null), true, false, budget);
          case "rstrip" -> stripped(text, given.get(0, "chars", null), false, true, budget);
          case "split", "rsplit" -> parts(split(name, text, given), text, budget);
          case "splitlines" -> parts(Strings.lines(text), text, budget);
          case "upper" -> budget.made(Strings.upper(text));
          case "lower" -> budget.made(Strings.lower(text));
          case "title" -> budget.made(Strings.title(text));
          case "capitalize" -> budget.made(Strings.capitalize(text));
          case "replace" ->
              budget.made(
                  Strings.replace(
                      text,
                      Values.string(given.required(0, "old")),
                      Values.string(given.required(1, "new")),
                      Values.integer(given.get(2, "count", -1L))));
          case "join" -> join(text, given.required(0, "iterable"), budget);
          case "find" ->
              position(text, Strings.indexOf(text, Values.string(given.required(0, "sub")), 0));
          case "rfind" ->
              position(
                  text,
                  Strings.lastIndexOf(
                      text, Values.string(given.required(0, "sub")), text.length()));
          case "count" -> count(text, Values.string(given.required(0, "sub")));
          case "isdigit" -> !text.isEmpty() && text.codePoints().allMatch(Character::isDigit);
          case "isalpha" -> !text.isEmpty() && text.codePoints().allMatch(Character::isLetter);
          case "isalnum" ->
              !text.isEmpty() && text.codePoints().allMatch(Character::isLetterOrDigit);
          case "isspace" -> !text.isEmpty() && text.codePoints().allMatch(Strings::isSpace);
          case "isupper" -> !text.equals(Strings.lower(text)) && text.equals(Strings.upper(text));
          case "islower" -> !text.equals(Strings.upper(text)) && text.equals(Strings.lower(text));
          case "removeprefix" -> {
            String prefix = Values.string(given.required(0, "prefix"));
            yield startsWith(text, prefix, budget)
                ? budget.made(text.substring(prefix.length()))
                : text;
          }
          default -> {
            String suffix = Values.string(given.required(0, "suffix"));
            yield endsWith(text, suffix, budget) && !suffix.isEmpty()
                ? budget.made(text.substring(0, text.length() - suffix.length()))
                : text;
          }
        };
    given.done();
    return result;
  }

  private static boolean affix(String name, String text, @Nullable Object affix, Budget budget) {
    List<?> choices = affix instanceof List<?> list ? list : List.of(Values.string(affix));
    for (Object choice : choices) {
      String each = Values.string(choice);
      if (name.equals("startswith")
          ? startsWith(text, each, budget)
          : endsWith(text, each, budget)) {
        return true;
      }
    }
    return false;
  }

  private static boolean startsWith(String text, String prefix, Budget budget) {
    budget.items(1);
    budget.read(Math.min(prefix.length(), text.length()));
    return text.startsWith(prefix);
  }

  private static boolean endsWith(String text, String suffix, Budget budget) {
    budget.items(1);
    budget.read(Math.min(suffix.length(), text.length()));
    return text.endsWith(suffix);
  }

  static String stripped(
      String text, @Nullable Object characters, boolean left, boolean right, Budget budget) {
    if (characters == null) {
      return budget.made(Strings.strip(text, left, right));
    }
    String set = Values.string(characters);
    budget.read(set.length());
    return budget.made(Strings.strip(text, set, left, right));
  }

  /** Parts of a text: a string each. */
  private static List<Object> parts(List<Object> parts, String text, Budget budget) {
    budget.steps(parts.size());
    budget.made(text.length());
    return parts;
  }

  private static List<Object> split(String name, String text, Parameters given) {
    Object separator = given.get(0, "sep", null);
    long most = Values.integer(given.get(1, "maxsplit", -1L));
    if (separator == null) {
      if (name.equals("rsplit") && most >= 0) {
        throw new JinjaException("'rsplit' at white space with a limit is not supported");
      }
      return Strings.splitAtSpace(text, most);
    }
    String wanted = Values.string(separator);
    if (wanted.isEmpty()) {
      throw new JinjaException("'" + name + "' with an empty separator");
    }
    return name.equals("split")
        ? Strings.split(text, wanted, most)
        : Strings.splitFromRight(text, wanted, most);
  }

  private static String join(String separator, @Nullable Object items, Budget budget) {
    List<String> texts = new ArrayList<>();
    for (Object item : Values.items(items, budget)) {
      budget.items(1);
      texts.add(Values.string(item));
    }
    return budget.made(Strings.join(separator, texts));
  }

  private static long position(String text, int at) {
    return at < 0 ? -1L : text.codePointCount(0, at);
  }

  private static long count(String text, String wanted) {
    return wanted.isEmpty() ? Strings.length(text) + 1 : Strings.count(text, wanted);
  }

  private static @Nullable Object call(
      String name, Map<?, ?> map, Parameters given, Budget budget) {
    Object result =
        switch (name) {
          case "items" -> items(map, budget);
          case "keys" -> Values.items(map, budget);
          case "values" -> {
            budget.items(map.size());
            yield new ArrayList<>(map.values());
          }
          case "copy" -> map;
          default -> {
            Object key = given.required(0, "key");
            Object fallback = given.get(1, "default", null);
            yield key instanceof String wanted && Values.has(map, wanted, budget)
                ? map.get(wanted)
                : fallback;
          }
        };
    given.done();
    return result;
  }

  static List<Object> items(Map<?, ?> map, Budget budget) {
    budget.steps(map.size());
    List<Object> items = new ArrayList<>();
    for (Map.Entry<?, ?> entry : map.entrySet()) {
      Values.Tuple pair = new Values.Tuple();
      pair.add(entry.getKey());
      pair.add(entry.getValue());
      items.add(pair);
    }
    return items;
  }

  private static Object call(String name, List<?> list, Parameters given, Budget budget) {
    if (name.equals("copy")) {
      given.done();
      return list;
    }
    Object wanted = given.required(0, "value");
    given.done();
    long count = 0;
    for (int i = 0; i < list.size(); i++) {
      if (Values.equal(list.get(i), wanted, budget)) {
        if (name.equals("index")) {
          return (long) i;
        }
        count++;
      }
    }
    if (name.equals("index")) {
      throw new JinjaException("'index' of a value that is not in the list");
    }
    return count;
  }
}
