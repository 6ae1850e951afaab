package dev.whence.transfer.stage;

import dev.whence.runtime.config.Settings;
import dev.whence.schemas.avro.ModelRole;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.Policies;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * Reads subscriptions: {@code subscription.*} for one, {@code subscriptions.NAME.*} for several.
 * Names come from the file or the flags; the environment may change a value of a name that stands
 * there.
 */
final class SubscriptionSettings {
  private static final String SINGLE = "subscription.";
  private static final String NAMED = "subscriptions.";
  private static final List<String> KEYS =
      List.of(
          "base",
          "fine-tuned",
          "line",
          "result",
          "roles",
          "aliases",
          "lambda",
          "sweep",
          "policies");

  private final Settings settings;
  private final String name;
  private final String prefix;

  private SubscriptionSettings(Settings settings, String name, String prefix) {
    this.settings = settings;
    this.name = name;
    this.prefix = prefix;
  }

  /** All of them; what is wrong is told to the settings. */
  static List<TransferConfig.Subscription> read(Settings settings) {
    Map<String, String> prefixes = new LinkedHashMap<>(); // by name
    if (KEYS.stream().anyMatch(key -> !settings.list(SINGLE + key).isEmpty())) {
      prefixes.put("", SINGLE);
    }
    names(settings).forEach(name -> prefixes.put(name, NAMED + name + "."));
    List<TransferConfig.Subscription> all = new ArrayList<>();
    Map<String, String> results = new TreeMap<>();
    prefixes.forEach(
        (name, prefix) -> {
          Optional<TransferConfig.Subscription> one =
              new SubscriptionSettings(settings, name, prefix).subscription();
          one.ifPresent(all::add);
          one.map(subscription -> results.put(subscription.result(), prefix))
              .ifPresent(
                  other ->
                      settings.problem(
                          other
                              + "* and "
                              + prefix
                              + "* would give their results the same names: set "
                              + prefix
                              + "result"));
        });
    return all;
  }

  private static Set<String> names(Settings settings) {
    Set<String> names = new TreeSet<>();
    for (String key : settings.under(NAMED, /* fromEnvironment= */ rest -> false).keySet()) {
      int dot = key.indexOf('.');
      if (dot < 1) {
        settings.problem(
            NAMED + key + " has no subscription's name: write " + NAMED + "NAME." + key);
      } else {
        names.add(key.substring(0, dot));
        if (!KEYS.contains(key.substring(dot + 1))) {
          settings.problem(
              "unknown key " + NAMED + key + ": a subscription has " + String.join(", ", KEYS));
        }
      }
    }
    return names;
  }

  private Optional<TransferConfig.Subscription> subscription() {
    String base = settings.required(prefix + "base", "the modelId that fine-tuning started from");
    String fineTuned = settings.required(prefix + "fine-tuned", "the modelId that came of it");
    String line =
        settings.required(prefix + "line", "a regular expression for the modelIds of later bases");
    String result = result(fineTuned);
    List<ModelRole> roles = roles();
    List<String> aliases = settings.list(prefix + "aliases");
    double lambda = settings.text(prefix + "lambda").map(text -> factor("lambda", text)).orElse(1.);
    List<Double> sweep =
        settings.list(prefix + "sweep").stream().map(text -> factor("sweep", text)).toList();
    TransferRequests.wrongFactors(lambda, sweep).forEach(wrong -> settings.problem(prefix + wrong));
    Map<String, String> policies = policies();
    try {
      Pattern pattern = Pattern.compile(line);
      return base.isEmpty() || fineTuned.isEmpty() || line.isEmpty()
          ? Optional.empty()
          : Optional.of(
              new TransferConfig.Subscription(
                  name, base, fineTuned, pattern, result, roles, aliases, lambda, sweep, policies));
    } catch (PatternSyntaxException e) {
      settings.problem(prefix + "line is no regular expression: " + e.getDescription());
      return Optional.empty();
    }
  }

  /** What names of results begin with. */
  private String result(String fineTuned) {
    String result =
        settings.text(prefix + "result").orElseGet(() -> TransferRequests.modelIdOf(fineTuned));
    if (!TransferRequests.isModelId(result) && !fineTuned.isEmpty()) {
      settings.problem(
          prefix + "result is '" + result + "', but " + TransferRequests.MODEL_ID_RULE);
    }
    return result;
  }

  private List<ModelRole> roles() {
    List<ModelRole> roles = new ArrayList<>();
    for (String role : settings.list(prefix + "roles")) {
      switch (role.toUpperCase(Locale.ROOT)) {
        case "FAST" -> roles.add(ModelRole.FAST);
        case "TARGET" -> roles.add(ModelRole.TARGET);
        default -> settings.problem(prefix + "roles has '" + role + "', but knows fast and target");
      }
    }
    return roles;
  }

  private double factor(String key, String text) {
    try {
      return Double.parseDouble(text.trim());
    } catch (NumberFormatException e) {
      settings.problem(prefix + key + " has '" + text + "', but takes numbers");
      return 1;
    }
  }

  private Map<String, String> policies() {
    Map<String, String> policies = new TreeMap<>();
    for (String policy : settings.list(prefix + "policies")) {
      int equals = policy.indexOf('=');
      if (equals < 1) {
        settings.problem(prefix + "policies has '" + policy + "', but takes NAME=VALUE");
      } else if (policies.put(policy.substring(0, equals), policy.substring(equals + 1)) != null) {
        settings.problem(
            prefix + "policies has '" + policy.substring(0, equals) + "' more than once");
      }
    }
    try {
      Policies.of(policies);
    } catch (TransferException e) {
      e.reasons().forEach(reason -> settings.problem(prefix + "policies: " + reason));
    }
    return policies;
  }
}
