package dev.whence.cli;

import dev.whence.engine.EngineException;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.Policies;
import dev.whence.transfer.merge.Role;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The models that a transfer command names, and the policies. What can not be found or is no policy
 * is noted until all of it is known, and told at once.
 */
final class TransferModels {
  private final Map<Role, Path> found = new EnumMap<>(Role.class);
  private final List<String> problems = new ArrayList<>();
  private boolean wrongUsage;

  /** Looks for a model. */
  TransferModels add(Role role, String model) {
    try {
      found.put(role, Models.resolve(model));
    } catch (UsageException e) {
      wrongUsage = true;
      problems.add(role.word() + ": " + e.getMessage());
    } catch (EngineException | UncheckedIOException e) {
      problems.add(role.word() + ": " + Failure.sentence(e));
    }
    return this;
  }

  /** The policies of the options, by name. */
  static Map<String, String> named(Map<String, String> policies, Map<String, String> renamed) {
    Map<String, String> named = new TreeMap<>(policies);
    renamed.forEach((name, source) -> named.put("rename " + name, source));
    return named;
  }

  /** Policies by name; strict ones where a name or value is none. */
  Policies policies(Map<String, String> named) {
    try {
      return Policies.of(named);
    } catch (TransferException e) {
      wrongUsage = true;
      problems.addAll(e.reasons());
      return Policies.STRICT;
    }
  }

  /** The factors, noted where one is no finite number. */
  List<Double> lambdas(List<Double> lambdas) {
    for (double lambda : lambdas) {
      if (!Double.isFinite(lambda)) {
        wrongUsage = true;
        problems.add("--lambda is " + lambda + ", but must be a finite number");
      }
    }
    return lambdas;
  }

  boolean good() {
    return problems.isEmpty();
  }

  boolean isWrongUsage() {
    return wrongUsage;
  }

  /** Those that were found. */
  Map<Role, Path> found() {
    return found;
  }

  /** Where a model is; an empty path if it was not found. */
  Path of(Role role) {
    return found.getOrDefault(role, Path.of(""));
  }

  /** Ends with everything that is wrong. */
  RuntimeException refusal(List<String> more) {
    List<String> all = new ArrayList<>(problems);
    all.addAll(more);
    return wrongUsage ? new UsageException(String.join("; ", all)) : new TransferException(all);
  }

  /** All are there, or it ends with what is wrong. */
  TransferModels orRefuse() {
    if (!good()) {
      throw refusal(List.of());
    }
    return this;
  }
}
