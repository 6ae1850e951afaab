package dev.whence.runtime.config;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.JsonTokenId;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.util.JsonParserDelegate;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.BiConsumer;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * The raw configuration of a process: a flag wins over the environment, the environment over the
 * file. The environment variable of a key is {@code WHENCE_} and the key in upper case, with {@code
 * .} and {@code -} as {@code _}.
 *
 * <p>A process reads its keys through the typed methods, each of which returns the fallback where
 * something is wrong and remembers the problem; {@link #finish} then throws one {@link
 * ConfigException} with every problem, including keys of the file and the flags that nobody read.
 * Not thread-safe.
 */
public final class Settings {
  private static final Pattern DURATION = Pattern.compile("(\\d{1,12})\\s*(ms|s|m|h|d)");
  private static final Pattern BYTES = Pattern.compile("(\\d{1,15})\\s*(B|KiB|MiB|GiB)?");
  private static final String ENVIRONMENT_PREFIX = "WHENCE_";

  private final Map<String, Setting> fileAndFlags = new TreeMap<>();
  private final Set<String> flags;
  private final Map<String, String> environment;
  private final Substitution substitution;
  private final List<String> problems = new ArrayList<>();
  private final Set<String> read = new HashSet<>();

  private Settings(Map<String, String> environment, Map<String, String> flags) {
    this.environment = Map.copyOf(environment);
    this.flags = Set.copyOf(flags.keySet());
    this.substitution = new Substitution(environment);
  }

  /**
   * Reads a configuration.
   *
   * @param file YAML, or null for none
   * @param environment of the process
   * @param flags values given on the command line, by key
   * @throws ConfigException if the file can not be read or is not YAML
   */
  public static Settings load(
      @Nullable Path file, Map<String, String> environment, Map<String, String> flags) {
    Settings settings = new Settings(environment, flags);
    if (file != null) {
      settings.readFile(file);
    }
    flags.forEach(
        (key, value) ->
            settings.fileAndFlags.put(key, new Setting(List.of(value), false, "a flag", false)));
    return settings;
  }

  /** A configuration without file and environment, for processes inside another one. */
  public static Settings of(Map<String, String> values) {
    return load(null, Map.of(), values);
  }

  private void readFile(Path file) {
    YAMLMapper yaml =
        YAMLMapper.builder(
                YAMLFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build())
            .build();
    JsonNode root;
    try (JsonParser parser = new AsWritten(yaml.createParser(Files.readString(file)))) {
      root = yaml.readTree(parser);
    } catch (NoSuchFileException e) {
      throw new ConfigException(List.of("the configuration file " + file + " does not exist"));
    } catch (JsonProcessingException e) {
      var at = e.getLocation();
      throw new ConfigException(
          List.of(
              "the configuration file "
                  + file
                  + " is not YAML"
                  + (at == null ? "" : ": see line " + at.getLineNr())));
    } catch (IOException e) {
      throw new ConfigException(
          List.of(
              "the configuration file "
                  + file
                  + " can not be read ("
                  + e.getClass().getSimpleName()
                  + ")"));
    }
    if (root == null || root.isMissingNode() || root.isNull()) {
      return;
    }
    if (!root.isObject()) {
      throw new ConfigException(
          List.of("the configuration file " + file + " is not a map of keys to values"));
    }
    flatten("", root, file.toString());
  }

  private void flatten(String prefix, JsonNode node, String origin) {
    for (Map.Entry<String, JsonNode> field : node.properties()) {
      String key = prefix.isEmpty() ? field.getKey() : prefix + "." + field.getKey();
      JsonNode value = field.getValue();
      if (value.isObject()) {
        flatten(key, value, origin);
      } else if (value.isNull()) {
        read.add(key);
        problems.add(key + " has no value in " + origin);
      } else if (value.isArray() && !allScalar(value)) {
        read.add(key);
        problems.add(key + " in " + origin + " is a list of something else than plain values");
      } else {
        List<String> items = new ArrayList<>();
        if (value.isArray()) {
          value.forEach(item -> items.add(item.asText()));
        } else {
          items.add(value.asText());
        }
        if (fileAndFlags.put(key, new Setting(items, value.isArray(), origin, false)) != null) {
          problems.add(key + " stands twice in " + origin);
        }
      }
    }
  }

  /**
   * Numbers are texts as they stand in the file: of a version 1.10 or a password 007 nothing may
   * get lost before somebody says what it is. Only the underscores go by which YAML groups digits.
   */
  private static final class AsWritten extends JsonParserDelegate {
    AsWritten(JsonParser parser) {
      super(parser);
    }

    private static @Nullable JsonToken asWritten(@Nullable JsonToken token) {
      return token != null && token.isNumeric() ? JsonToken.VALUE_STRING : token;
    }

    @Override
    public String getText() throws IOException {
      JsonToken token = super.currentToken();
      String text = super.getText();
      return token != null && token.isNumeric() ? text.replace("_", "") : text;
    }

    @Override
    public @Nullable JsonToken nextToken() throws IOException {
      return asWritten(super.nextToken());
    }

    @Override
    public @Nullable JsonToken currentToken() {
      return asWritten(super.currentToken());
    }

    @Override
    public int currentTokenId() {
      JsonToken token = currentToken();
      return token == null ? JsonTokenId.ID_NO_TOKEN : token.id();
    }
  }

  private static boolean allScalar(JsonNode array) {
    for (JsonNode item : array) {
      if (!item.isValueNode() || item.isNull()) {
        return false;
      }
    }
    return true;
  }

  /** The environment variable of a key. */
  public static String environmentName(String key) {
    return ENVIRONMENT_PREFIX + key.toUpperCase(Locale.ROOT).replace('.', '_').replace('-', '_');
  }

  private Optional<Setting> find(String key) {
    read.add(key);
    Setting setting = fileAndFlags.get(key);
    if (!flags.contains(key)) {
      String name = environmentName(key);
      String value = environment.get(name);
      if (value != null) {
        setting = new Setting(List.of(value), false, "the environment variable " + name, false);
      }
    }
    return Optional.ofNullable(setting).map(found -> substitution.resolve(key, found, problems));
  }

  private Optional<Setting> findScalar(String key) {
    Optional<Setting> setting = find(key);
    if (setting.isPresent() && setting.get().list()) {
      problems.add(key + " is a list in " + setting.get().origin() + ", but takes one value");
      return Optional.empty();
    }
    return setting;
  }

  private void wrong(String key, Setting setting, String expected) {
    problems.add(
        key + " is " + setting.shown() + " in " + setting.origin() + ", but must be " + expected);
  }

  /** Adds a problem that the reader of a value found. */
  public void problem(String sentence) {
    problems.add(sentence);
  }

  public Optional<String> text(String key) {
    return findScalar(key).map(Setting::scalar);
  }

  public String text(String key, String fallback) {
    return text(key).orElse(fallback);
  }

  /** A value without which the process can not start. */
  public String required(String key, String whatFor) {
    Optional<String> value = text(key).filter(found -> !found.isBlank());
    if (value.isEmpty()) {
      problems.add(key + " is not set: it gives " + whatFor);
    }
    return value.orElse("");
  }

  public boolean flag(String key, boolean fallback) {
    Optional<Setting> setting = findScalar(key);
    if (setting.isEmpty()) {
      return fallback;
    }
    return switch (setting.get().scalar().toLowerCase(Locale.ROOT)) {
      case "true" -> true;
      case "false" -> false;
      default -> {
        wrong(key, setting.get(), "true or false");
        yield fallback;
      }
    };
  }

  public int integer(String key, int fallback, int least, int most) {
    Optional<Setting> setting = findScalar(key);
    if (setting.isEmpty()) {
      return fallback;
    }
    try {
      int value = Integer.parseInt(setting.get().scalar().trim());
      if (value >= least && value <= most) {
        return value;
      }
    } catch (NumberFormatException e) {
      // said below, as for a number out of range
    }
    wrong(key, setting.get(), "a whole number from " + least + " to " + most);
    return fallback;
  }

  public double number(String key, double fallback, double least, double most) {
    Optional<Setting> setting = findScalar(key);
    if (setting.isEmpty()) {
      return fallback;
    }
    try {
      double value = Double.parseDouble(setting.get().scalar().trim());
      if (value >= least && value <= most) {
        return value;
      }
    } catch (NumberFormatException e) {
      // said below, as for a number out of range
    }
    wrong(key, setting.get(), "a number from " + least + " to " + most);
    return fallback;
  }

  /** A length of time, written as a whole number and a unit: 500ms, 20s, 5m, 1h, 7d. */
  public Duration duration(String key, Duration fallback, Duration least, Duration most) {
    Optional<Setting> setting = findScalar(key);
    if (setting.isEmpty()) {
      return fallback;
    }
    Matcher written = DURATION.matcher(setting.get().scalar().trim());
    if (written.matches()) {
      long amount = Long.parseLong(written.group(1));
      Duration value =
          switch (written.group(2)) {
            case "ms" -> Duration.ofMillis(amount);
            case "s" -> Duration.ofSeconds(amount);
            case "m" -> Duration.ofMinutes(amount);
            case "h" -> Duration.ofHours(amount);
            default -> Duration.ofDays(amount);
          };
      if (value.compareTo(least) >= 0 && value.compareTo(most) <= 0) {
        return value;
      }
    }
    wrong(
        key,
        setting.get(),
        "a length of time from "
            + least.toMillis()
            + "ms to "
            + most.toMillis()
            + "ms, for example 500ms, 20s or 5m");
    return fallback;
  }

  /** A number of bytes, with or without a unit: 1048576, 512KiB, 8MiB, 2GiB. */
  public long bytes(String key, long fallback, long least, long most) {
    Optional<Setting> setting = findScalar(key);
    if (setting.isEmpty()) {
      return fallback;
    }
    Matcher written = BYTES.matcher(setting.get().scalar().trim());
    if (written.matches()) {
      String unit = written.group(2) == null ? "B" : written.group(2);
      int shift = List.of("B", "KiB", "MiB", "GiB").indexOf(unit) * 10;
      long amount = Long.parseLong(written.group(1));
      if (amount <= most >> shift && amount << shift >= least) {
        return amount << shift;
      }
    }
    long example = Math.max(8, (least + (1 << 20) - 1) >> 20); // in MiB, and a size that may be
    wrong(
        key,
        setting.get(),
        "a size from " + least + " to " + most + " bytes, for example " + example + "MiB");
    return fallback;
  }

  /** One of a closed set: the name in lower case, with {@code -} for {@code _}. */
  public <E extends Enum<E>> E choice(String key, Class<E> type, E fallback) {
    Optional<Setting> setting = findScalar(key);
    if (setting.isEmpty()) {
      return fallback;
    }
    List<String> names = new ArrayList<>();
    for (E value : type.getEnumConstants()) {
      String name = value.name().toLowerCase(Locale.ROOT).replace('_', '-');
      if (name.equals(setting.get().scalar())) {
        return value;
      }
      names.add(name);
    }
    wrong(key, setting.get(), "one of " + String.join(", ", names));
    return fallback;
  }

  /** A list; a flag or an environment variable separates its members with commas. */
  public List<String> list(String key) {
    Optional<Setting> setting = find(key);
    if (setting.isEmpty()) {
      return List.of();
    }
    if (setting.get().list()) {
      return setting.get().items();
    }
    List<String> items = new ArrayList<>();
    for (String item : setting.get().scalar().split(",", -1)) {
      if (!item.isBlank()) {
        items.add(item.trim());
      }
    }
    return items;
  }

  /**
   * All values under a prefix, without the prefix.
   *
   * @param prefix with its last dot
   * @param fromEnvironment whether a key of this name may be taken from the environment; there are
   *     foreign variables (a Kubernetes service named whence-kafka leaves WHENCE_KAFKA_PORT), so
   *     only names that somebody knows are taken
   */
  public Map<String, String> under(String prefix, Predicate<String> fromEnvironment) {
    return under(prefix, fromEnvironment, (variable, name) -> {});
  }

  /**
   * All values under a prefix whose keys end in a name that is the user's own, without the prefix.
   * Such a name can not be told from a variable's, so a variable only takes the place of a key that
   * the file or a flag has; any other is a problem, instead of a filter that nobody notices
   * missing.
   *
   * @param prefix with its last dot
   */
  public Map<String, String> named(String prefix) {
    Set<String> known = new HashSet<>();
    for (String key : fileAndFlags.keySet()) {
      known.add(environmentName(key));
    }
    return under(
        prefix,
        name -> false,
        (variable, name) -> {
          if (!known.contains(variable)) {
            problems.add(
                "the environment variable "
                    + variable
                    + " names no key of the configuration file: a name under "
                    + prefix
                    + " can not be told from a variable's; write the key into the file, its value"
                    + " may be ${env:X}");
          }
        });
  }

  /**
   * As {@link #under(String, Predicate)}.
   *
   * @param notTaken gets the variables under the prefix that are not taken, each with the name that
   *     it would have
   */
  Map<String, String> under(
      String prefix, Predicate<String> fromEnvironment, BiConsumer<String, String> notTaken) {
    Set<String> keys = new TreeSet<>();
    for (String key : fileAndFlags.keySet()) {
      if (key.startsWith(prefix)) {
        keys.add(key);
      }
    }
    String start = environmentName(prefix);
    for (String name : environment.keySet()) {
      if (name.startsWith(start)) {
        String rest = name.substring(start.length()).toLowerCase(Locale.ROOT).replace('_', '.');
        if (fromEnvironment.test(rest)) {
          keys.add(prefix + rest);
        } else {
          notTaken.accept(name, rest);
        }
      }
    }
    Map<String, String> values = new LinkedHashMap<>();
    for (String key : keys) {
      find(key)
          .ifPresent(
              setting ->
                  values.put(key.substring(prefix.length()), String.join(",", setting.items())));
    }
    return values;
  }

  /**
   * Ends the reading.
   *
   * @throws ConfigException with everything that was wrong, unknown keys included
   */
  public void finish() {
    for (Map.Entry<String, Setting> entry : fileAndFlags.entrySet()) {
      if (!read.contains(entry.getKey())) {
        problems.add(
            "unknown key " + entry.getKey() + " in " + entry.getValue().origin() + closest(entry));
      }
    }
    if (!problems.isEmpty()) {
      throw new ConfigException(problems);
    }
  }

  private String closest(Map.Entry<String, Setting> unknown) {
    return Spelling.nearest(unknown.getKey(), read, Integer.MAX_VALUE)
        .map(known -> "; did you mean " + known + "?")
        .orElse("");
  }
}
