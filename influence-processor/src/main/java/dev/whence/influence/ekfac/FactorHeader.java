package dev.whence.influence.ekfac;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.influence.InfluenceException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** What the header of a factor file says. */
final class FactorHeader {
  private static final int MAX_SIDE = 1 << 20;

  private FactorHeader() {}

  /** A header of one kind of file. */
  static ObjectNode of(String kind, FactorsJob.Settings settings, List<LinearLayer> layers) {
    ObjectNode header = JsonMapper.builder().build().createObjectNode();
    header.put("kind", kind);
    header.put("modelName", settings.modelName());
    header.put("model", settings.modelDigest());
    header.put("layerSelection", settings.selection().text());
    header.put("lambdaForm", settings.form().label());
    header.put("corpus", settings.corpusDigest());
    header.put("seed", settings.seed());
    ArrayNode list = header.putArray("layers");
    for (LinearLayer layer : layers) {
      list.addObject()
          .put("name", layer.name())
          .put("inputs", layer.inputs())
          .put("outputs", layer.outputs())
          .put("bias", layer.bias())
          .put("product", layer.product())
          .put("part", layer.part());
    }
    return header;
  }

  /**
   * That a file that is there was made for the same job.
   *
   * @throws InfluenceException if not, naming what differs
   */
  static void check(JsonNode found, ObjectNode wanted, Path path) {
    for (String member :
        List.of(
            "kind",
            "model",
            "layerSelection",
            "lambdaForm",
            "corpus",
            "seed",
            "layers",
            "part",
            "parts",
            "eigenvectors")) {
      if (wanted.has(member)
          && !wanted.get(member).toString().equals(found.path(member).toString())) {
        throw new InfluenceException(
            path
                + " was made for another job: its "
                + member
                + " differs. Give another --output, or remove it.");
      }
    }
  }

  static List<LinearLayer> layers(JsonNode header, Path path) {
    List<LinearLayer> layers = new ArrayList<>();
    for (JsonNode layer : header.path("layers")) {
      int inputs = layer.path("inputs").asInt();
      int outputs = layer.path("outputs").asInt();
      if (inputs < 1 || outputs < 1 || inputs > MAX_SIDE || outputs > MAX_SIDE) {
        throw new InfluenceException(
            path + " has a layer of " + outputs + " x " + inputs + " elements, which none has.");
      }
      layers.add(
          new LinearLayer(
              layer.path("name").asText(),
              inputs,
              outputs,
              layer.path("bias").asBoolean(),
              layer.path("product").asInt(),
              layer.path("part").asInt()));
    }
    if (layers.isEmpty()) {
      throw new InfluenceException(path + " names no layer.");
    }
    return layers;
  }

  static EkfacFactors.Stage stage(JsonNode header) {
    return new EkfacFactors.Stage(
        header.path("modelName").asText(),
        header.path("model").asText(),
        header.path("layerSelection").asText(),
        LambdaForm.of(header.path("lambdaForm").asText()),
        header.path("corpus").asText(),
        header.path("weight").asDouble());
  }
}
