package dev.whence.runtime.config;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Replaces {@code ${env:NAME}} and {@code ${file:PATH}} in values, so that secrets need not stand
 * in the configuration. A file's last line break is not part of the secret.
 */
final class Substitution {
  private static final Pattern REFERENCE = Pattern.compile("\\$\\{(env|file):([^}]*)}");
  private static final long LARGEST_FILE_BYTES = 1 << 20;

  private final Map<String, String> environment;

  Substitution(Map<String, String> environment) {
    this.environment = environment;
  }

  /** Resolves the references in a setting; what could not be resolved is added to the problems. */
  Setting resolve(String key, Setting setting, List<String> problems) {
    if (setting.items().stream().noneMatch(item -> REFERENCE.matcher(item).find())) {
      return setting;
    }
    List<String> resolved =
        setting.items().stream().map(item -> resolve(key, item, problems)).toList();
    return new Setting(resolved, setting.list(), setting.origin(), true);
  }

  private String resolve(String key, String text, List<String> problems) {
    Matcher reference = REFERENCE.matcher(text);
    StringBuilder out = new StringBuilder();
    while (reference.find()) {
      String name = reference.group(2);
      String value =
          reference.group(1).equals("env")
              ? fromEnvironment(key, name, problems)
              : fromFile(key, name, problems);
      reference.appendReplacement(out, Matcher.quoteReplacement(value));
    }
    return reference.appendTail(out).toString();
  }

  private String fromEnvironment(String key, String name, List<String> problems) {
    String value = environment.get(name);
    if (value == null) {
      problems.add(key + ": the environment variable " + name + " is not set");
      return "";
    }
    return value;
  }

  private String fromFile(String key, String name, List<String> problems) {
    Path path = Path.of(name);
    try {
      if (Files.size(path) > LARGEST_FILE_BYTES) {
        problems.add(key + ": the file " + path + " has more than 1 MiB, so it is no secret");
        return "";
      }
      return Files.readString(path).replaceFirst("\\R\\z", "");
    } catch (IOException e) {
      problems.add(
          key + ": the file " + path + " can not be read (" + e.getClass().getSimpleName() + ")");
      return "";
    }
  }
}
