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
   * @throws InfluenceException if the text is no regular expression
   */
  public LayerSelection {
    var unused = pattern(text);
  }

  /**
   * The layers of a model.
   *
   * @throws InfluenceException if there is none
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
    return chosen;
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
