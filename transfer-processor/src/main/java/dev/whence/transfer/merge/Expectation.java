package dev.whence.transfer.merge;

import dev.whence.engine.EngineException;
import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * What somebody says that a result was made from, held against what its manifest, or the request of
 * its unfinished run, says. What is not said is not compared.
 *
 * @param models by role; with a manifest compared by content, which reads all of their tensors
 * @param lambdas of all results of the output; empty where nothing is said
 * @param policies by name, as in {@link Policies#named}
 */
public record Expectation(
    Map<Role, Path> models, List<Double> lambdas, Map<String, String> policies) {

  public Expectation {
    models = Map.copyOf(models);
    lambdas = List.copyOf(lambdas);
    policies = Map.copyOf(policies);
  }

  /**
   * Where the results of an output differ, each a sentence.
   *
   * @param results of one run, by their places
   */
  public List<String> differences(Path output, Map<Path, Manifest> results) {
    List<String> differences = new ArrayList<>();
    compareLambdas(
        output.toString(), results.values().stream().map(Manifest::lambda).toList(), differences);
    results.values().stream()
        .findFirst()
        .ifPresent(
            manifest -> {
              comparePolicies(output.toString(), manifest.policies(), differences);
              for (Role role : Role.values()) {
                Path model = models.get(role);
                Manifest.Ancestor ancestor = manifest.ancestors().get(role.word());
                if (model != null) {
                  compareContent(output, role, model, Optional.ofNullable(ancestor), differences);
                }
              }
            });
    return differences;
  }

  /** Where the request of an unfinished run differs, each a sentence. */
  public List<String> differences(Path output, TransferRequest request) {
    String what = "the unfinished transfer to " + output;
    List<String> differences = new ArrayList<>();
    compareLambdas(what, request.lambdas(), differences);
    comparePolicies(what, request.policies().named(), differences);
    for (Role role : Role.values()) {
      Path model = models.get(role);
      Path asked = request.input(role).directory();
      if (model != null && !real(model).equals(real(asked))) {
        differences.add(what + " has " + asked + " as its " + role.word() + " model, not " + model);
      }
    }
    return differences;
  }

  private void compareLambdas(String what, List<Double> made, List<String> differences) {
    if (!lambdas.isEmpty()
        && !lambdas.stream().sorted().toList().equals(made.stream().sorted().toList())) {
      differences.add(what + " has lambda " + text(made) + ", not " + text(lambdas));
    }
  }

  private static String text(List<Double> values) {
    return String.join(" and ", values.stream().sorted().map(String::valueOf).toList());
  }

  private void comparePolicies(String what, Map<String, String> made, List<String> differences) {
    new TreeMap<>(policies)
        .forEach(
            (name, value) -> {
              String other = made.getOrDefault(name, "none");
              if (!other.equals(value)) {
                differences.add(what + " has the policy " + name + " " + other + ", not " + value);
              }
            });
  }

  private static void compareContent(
      Path output,
      Role role,
      Path model,
      Optional<Manifest.Ancestor> made,
      List<String> differences) {
    String digest;
    try (SourceModel source = SourceModel.open(role, model, Optional.empty())) {
      digest = source.digest();
    } catch (TransferException e) {
      e.reasons().forEach(reason -> differences.add(role.word() + ": " + reason));
      return;
    } catch (EngineException e) {
      e.reasons().forEach(reason -> differences.add(role.word() + ": " + reason));
      return;
    }
    if (!made.map(Manifest.Ancestor::digest).equals(Optional.of(digest))) {
      differences.add(
          output
              + " has "
              + made.map(ancestor -> ancestor.name() + " (digest " + ancestor.digest() + ")")
                  .orElse("nothing")
              + " as its "
              + role.word()
              + " model, not "
              + model
              + " (digest "
              + digest
              + ")");
    }
  }

  private static Path real(Path path) {
    try {
      return Files.exists(path) ? path.toRealPath() : path.toAbsolutePath().normalize();
    } catch (IOException e) {
      return path.toAbsolutePath().normalize(); // as it is called, then
    }
  }
}
