package dev.whence.influence.model;

import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.influence.InfluenceException;
import java.util.List;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * Which linear layers of a model's blocks count.
 *
 * @param text {@code all}, {@code mlp}, {@code attention}, or a regular expression that is found in
 *     the layers' names
 */
public record LayerSelection(String text) {
  public static final LayerSelection ALL = new LayerSelection("all");

  /**
   * Inputs or outputs of a layer: a square matrix of them in fp64, as its covariances and
   * eigenvectors are, goes to and from the device as one buffer, which has less than 2^31 bytes.
   */
  static final int LARGEST_SIDE = 16_383;

  /**
   * @throws InfluenceException if the text is no regular expression
   */
  public LayerSelection {
    var unused = pattern(text);
  }

  /**
   * The layers of a model.
   *
   * @throws InfluenceException if there is none, or one is too large for its covariances
   */
  public List<LinearLayer> of(ModelConfig config) {
    List<LinearLayer> all = LinearLayer.of(config);
    List<LinearLayer> chosen =
        switch (text) {
          case "all" -> all;
          case "mlp" -> all.stream().filter(LinearLayer::isMlp).toList();
          case "attention" -> all.stream().filter(layer -> !layer.isMlp()).toList();
          default -> {
            Pattern pattern = pattern(text);
            yield all.stream().filter(layer -> pattern.matcher(layer.name()).find()).toList();
          }
        };
    if (chosen.isEmpty()) {
      throw new InfluenceException(
          "The layer selection \""
              + text
              + "\" matches no linear layer; names are such as "
              + all.get(0).name()
              + ".");
    }
    chosen.forEach(LayerSelection::check);
    return chosen;
  }

  private static void check(LinearLayer layer) {
    boolean byInputs = layer.inputs() >= layer.outputs();
    int side = byInputs ? layer.inputs() : layer.outputs();
    if (side > LARGEST_SIDE) {
      throw new InfluenceException(
          "Layer "
              + layer.name()
              + " has "
              + side
              + (byInputs ? " inputs" : " outputs")
              + "; covariances are computed of at most "
              + LARGEST_SIDE
              + ". Choose layers without it: attention, or a regular expression.");
    }
  }

  private static Pattern pattern(String text) {
    try {
      return Pattern.compile(text);
    } catch (PatternSyntaxException e) {
      throw new InfluenceException(
          "The layer selection \""
              + text
              + "\" is none of all, mlp, attention, and no regular expression: "
              + e.getDescription()
              + ".",
          e);
    }
  }
}
