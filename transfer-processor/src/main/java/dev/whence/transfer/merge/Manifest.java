package dev.whence.transfer.merge;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.weights.UntrustedJson;
import dev.whence.files.FileProblem;
import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * What a transferred model was made from: {@value #FILE} beside its weights, written last.
 *
 * @param plan id of the plan
 * @param lambda factor of the difference
 * @param digest of the model, as every release has it
 * @param ancestors name and digest of base, fine-tuned and target, by role
 * @param policies by name
 * @param tensors what became of each tensor, and the CRC32C of its bytes
 * @param texts SHA-256 of the other files, by name
 */
public record Manifest(
    String plan,
    double lambda,
    String digest,
    Map<String, Ancestor> ancestors,
    Map<String, String> policies,
    Map<String, Tensor> tensors,
    Map<String, String> texts) {

  /** Its name in the model's directory. */
  public static final String FILE = "whence-transfer.json";

  private static final String FORMAT = "whence-transfer 1";

  /** A model that it was made from. */
  public record Ancestor(String name, String digest) {}

  /** A tensor. */
  public record Tensor(String policy, String crc32c) {}

  public Manifest {
    ancestors = Map.copyOf(ancestors);
    policies = Map.copyOf(policies);
    tensors = Map.copyOf(tensors);
    texts = Map.copyOf(texts);
  }

  byte[] bytes() {
    ObjectNode root = UntrustedJson.mapper().createObjectNode();
    root.put("format", FORMAT).put("plan", plan).put("lambda", lambda).put("digest", digest);
    ObjectNode from = root.putObject("madeFrom");
    new TreeMap<>(ancestors)
        .forEach(
            (role, ancestor) ->
                from.putObject(role).put("name", ancestor.name()).put("digest", ancestor.digest()));
    ObjectNode decided = root.putObject("policies");
    new TreeMap<>(policies).forEach(decided::put);
    ObjectNode files = root.putObject("texts");
    new TreeMap<>(texts).forEach(files::put);
    ObjectNode all = root.putObject("tensors");
    new TreeMap<>(tensors)
        .forEach(
            (name, tensor) ->
                all.putObject(name).put("policy", tensor.policy()).put("crc32c", tensor.crc32c()));
    return ReleaseTexts.bytes(root);
  }

  /**
   * Reads the manifest of a directory, if it has one.
   *
   * @throws TransferException if it is damaged
   */
  public static Optional<Manifest> read(Path directory) {
    if (Directories.find(directory.resolve(FILE)).isEmpty()) {
      return Optional.empty();
    }
    String origin = directory.resolve(FILE).toString();
    JsonNode root = UntrustedJson.object(UntrustedJson.bytes(directory, FILE), origin);
    if (!root.path("format").asText().equals(FORMAT) || !root.path("lambda").isNumber()) {
      throw new TransferException(origin + " is no manifest of the format '" + FORMAT + "'");
    }
    Map<String, Ancestor> ancestors = new TreeMap<>();
    root.path("madeFrom")
        .properties()
        .forEach(
            entry ->
                ancestors.put(
                    entry.getKey(),
                    new Ancestor(
                        entry.getValue().path("name").asText(),
                        entry.getValue().path("digest").asText())));
    Map<String, Tensor> tensors = new TreeMap<>();
    root.path("tensors")
        .properties()
        .forEach(
            entry ->
                tensors.put(
                    entry.getKey(),
                    new Tensor(
                        entry.getValue().path("policy").asText(),
                        entry.getValue().path("crc32c").asText())));
    return Optional.of(
        new Manifest(
            root.path("plan").asText(),
            root.path("lambda").doubleValue(),
            root.path("digest").asText(),
            ancestors,
            strings(root.path("policies")),
            tensors,
            strings(root.path("texts"))));
  }

  /**
   * The results of an output by their places: the output itself, or what a run with several lambdas
   * put beneath it; empty if there is none.
   *
   * @throws TransferException if a manifest is damaged or the output can not be read
   */
  public static SortedMap<Path, Manifest> results(Path output) {
    SortedMap<Path, Manifest> results = new TreeMap<>();
    Optional<Manifest> own = read(output);
    if (own.isPresent()) {
      results.put(output, own.get());
    } else if (Directories.find(output).map(BasicFileAttributes::isDirectory).orElse(false)) {
      try (var all = Files.list(output)) {
        for (Path one : all.filter(Manifest::isOfALambda).toList()) {
          read(one).ifPresent(manifest -> results.put(one, manifest));
        }
      } catch (IOException e) {
        throw new TransferException(
            output + " can not be read (" + FileProblem.of(e, output) + ")", e);
      }
    }
    return results;
  }

  private static boolean isOfALambda(Path directory) {
    return String.valueOf(directory.getFileName()).startsWith("lambda-");
  }

  private static Map<String, String> strings(JsonNode object) {
    Map<String, String> strings = new TreeMap<>();
    object.properties().forEach(entry -> strings.put(entry.getKey(), entry.getValue().asText()));
    return strings;
  }
}
