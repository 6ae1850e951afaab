package dev.whence.transfer.merge;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.weights.UntrustedJson;
import dev.whence.runtime.models.ModelLocation;
import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/** A request beside its unfinished result, so that {@code resume} needs no more than the output. */
public final class RequestFile {
  private RequestFile() {}

  static byte[] bytes(TransferRequest request) {
    return ReleaseTexts.bytes(json(request));
  }

  /** A request, to be read by {@link #request}. */
  public static ObjectNode json(TransferRequest request) {
    ObjectNode root = UntrustedJson.mapper().createObjectNode();
    input(root.putObject("base"), request.base());
    input(root.putObject("fine-tuned"), request.fineTuned());
    input(root.putObject("target"), request.target());
    request.lambdas().forEach(root.putArray("lambdas")::add);
    ObjectNode policies = root.putObject("policies");
    new TreeMap<>(request.policies().named()).forEach(policies::put);
    return root;
  }

  private static void input(ObjectNode to, TransferRequest.Input input) {
    to.put("directory", input.directory().toAbsolutePath().toString());
    input.digest().ifPresent(digest -> to.put("digest", digest));
  }

  /**
   * The request whose run to an output was cut off, if there is one.
   *
   * @throws BusyException if somebody writes there
   */
  public static Optional<TransferRequest> find(Path output) {
    try (Staging staging = Staging.lock(output)) {
      if (!Files.isRegularFile(staging.request())) {
        return Optional.empty();
      }
      JsonNode root =
          UntrustedJson.object(
              UntrustedJson.bytes(staging.request()), staging.request().toString());
      return Optional.of(request(root));
    } catch (IOException e) {
      throw new TransferException("the unfinished transfer to " + output + " can not be read", e);
    }
  }

  /** What {@link #json} wrote. */
  public static TransferRequest request(JsonNode root) {
    List<Double> lambdas = new ArrayList<>();
    root.path("lambdas").forEach(value -> lambdas.add(value.asDouble(Double.NaN)));
    Map<String, String> policies = new TreeMap<>();
    root.path("policies")
        .properties()
        .forEach(entry -> policies.put(entry.getKey(), entry.getValue().asText()));
    return new TransferRequest(
        input(root.path("base")),
        input(root.path("fine-tuned")),
        input(root.path("target")),
        lambdas,
        Policies.of(policies));
  }

  private static TransferRequest.Input input(JsonNode node) {
    JsonNode digest = node.path("digest");
    return new TransferRequest.Input(
        ModelLocation.path(node.path("directory").asText()),
        digest.isTextual() ? Optional.of(digest.textValue()) : Optional.empty());
  }
}
