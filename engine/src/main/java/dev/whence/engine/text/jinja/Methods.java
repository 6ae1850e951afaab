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
  static @Nullable Callable of(Object base, String name) {
    if (base instanceof String text && STRING.contains(name)) {
      return (positional, named) -> call(name, text, new Parameters(name, positional, named));
    }
    if (base instanceof Map<?, ?> map && !(base instanceof Namespace) && MAP.contains(name)) {
      return (positional, named) -> call(name, map, new Parameters(name, positional, named));
    }
    if (base instanceof List<?> list && LIST.contains(name)) {
      return (positional, named) -> call(name, list, new Parameters(name, positional, named));
    }
    if ((base instanceof List<?> || (base instanceof Map<?, ?> && !(base instanceof Namespace)))
        && MUTATING.contains(name)) {
      return (positional, named) -> {
        throw new JinjaException("the method '" + name + "' changes a value, which is not allowed");
      };
    }
    return null;
  }

  private static @Nullable Object call(String name, String text, Parameters given) {
    Object result =
        switch (name) {
          case "startswith", "endswith" -> affix(name, text, given.required(0, "prefix"));
          case "strip" -> stripped(text, given.get(0, "chars", null), true, true);
          case "lstrip" -> stripped(text, given.get(0, "chars", null), true, false);
          case "rstrip" -> stripped(text, given.get(0, "chars", null), false, true);
          case "split", "rsplit" -> split(name, text, given);
          case "splitlines" -> Strings.lines(text);
          case "upper" -> Strings.upper(text);
          case "lower" -> Strings.lower(text);
          case "title" -> Strings.title(text);
          case "capitalize" -> Strings.capitalize(text);
          case "replace" ->
              Strings.replace(
                  text,
                  Values.string(given.required(0, "old")),
                  Values.string(given.required(1, "new")),
                  Values.integer(given.get(2, "count", -1L)));
          case "join" -> join(text, given.required(0, "iterable"));
          case "find" -> position(text, text.indexOf(Values.string(given.required(0, "sub"))));
          case "rfind" -> position(text, text.lastIndexOf(Values.string(given.required(0, "sub"))));
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
            yield text.startsWith(prefix) ? text.substring(prefix.length()) : text;
          }
          default -> {
            String suffix = Values.string(given.required(0, "suffix"));
            yield text.endsWith(suffix) && !suffix.isEmpty()
                ? text.substring(0, text.length() - suffix.length())
                : text;
          }
        };
    given.done();
    return result;
  }

  private static boolean affix(String name, String text, @Nullable Object affix) {
    List<?> choices = affix instanceof List<?> list ? list : List.of(Values.string(affix));
    for (Object choice : choices) {
      String each = Values.string(choice);
      if (name.equals("startswith") ? text.startsWith(each) : text.endsWith(each)) {
        return true;
      }
    }
    return false;
  }

  static String stripped(String text, @Nullable Object characters, boolean left, boolean right) {
    return characters == null
        ? Strings.strip(text, left, right)
        : Strings.strip(text, Values.string(characters), left, right);
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

  private static String join(String separator, @Nullable Object items) {
    List<String> texts = new ArrayList<>();
    for (Object item : Values.items(items)) {
      texts.add(Values.string(item));
    }
    return Strings.join(separator, texts);
  }

  private static long position(String text, int at) {
    return at < 0 ? -1L : text.codePointCount(0, at);
  }

  private static long count(String text, String wanted) {
    return wanted.isEmpty()
        ? Strings.length(text) + 1
        : Strings.split(text, wanted, -1).size() - 1L;
  }

  private static @Nullable Object call(String name, Map<?, ?> map, Parameters given) {
    Object result =
        switch (name) {
          case "items" -> items(map);
          case "keys" -> new ArrayList<>(map.keySet());
          case "values" -> new ArrayList<>(map.values());
          case "copy" -> map;
          default -> {
            Object key = given.required(0, "key");
            Object fallback = given.get(1, "default", null);
            yield key instanceof String && map.containsKey(key) ? map.get(key) : fallback;
          }
        };
    given.done();
    return result;
  }

  static List<Object> items(Map<?, ?> map) {
    List<Object> items = new ArrayList<>();
    for (Map.Entry<?, ?> entry : map.entrySet()) {
      Values.Tuple pair = new Values.Tuple();
      pair.add(entry.getKey());
      pair.add(entry.getValue());
      items.add(pair);
    }
    return items;
  }

  private static Object call(String name, List<?> list, Parameters given) {
    if (name.equals("copy")) {
      given.done();
      return list;
    }
    Object wanted = given.required(0, "value");
    given.done();
    long count = 0;
    for (int i = 0; i < list.size(); i++) {
      if (Values.equal(list.get(i), wanted)) {
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
