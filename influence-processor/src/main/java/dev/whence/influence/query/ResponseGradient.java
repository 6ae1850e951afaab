package dev.whence.influence.query;

import dev.whence.conversation.Conversation;
import dev.whence.engine.EngineException;
import dev.whence.engine.kernel.Labels;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrix;
import dev.whence.engine.kernel.Taps;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.RowPacker;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.model.Measure;
import dev.whence.influence.model.TappedModel;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * q: the gradient of minus a response's {@link Measure} (of its loss, the sum over its tokens of
 * -log p in nats), prompt tokens masked out, by each layer's weight [O, I].
 *
 * @param logLikelihood of the response, nats
 * @param tokens of the response whose loss counts
 * @param byLayer q by the layer's name, row by row
 */
public record ResponseGradient(double logLikelihood, int tokens, Map<String, double[]> byLayer) {

  /**
   * That of a conversation's response.
   *
   * @throws InfluenceException if it has no response, its gradient is zero or not finite
   * @throws EngineException if it can not be rendered, or is longer than the model reads
   */
  public static ResponseGradient of(TappedModel model, Conversation conversation, Measure measure) {
    Example example = model.texts().response(conversation);
    if (example.length() - 1 > model.texts().longest()) {
      throw new EngineException(
          EngineException.Kind.UNSUPPORTED,
          "Prompt and response have "
              + example.length()
              + " tokens, the model reads "
              + model.texts().longest()
              + ".");
    }
    return of(model, example, measure);
  }

  /**
   * Computes it: one forward and backward; two where the measure has other slopes than the loss.
   *
   * @throws InfluenceException if the gradient is zero or not finite: there is nothing to ask then
   */
  public static ResponseGradient of(TappedModel model, Example example, Measure measure) {
    List<RowPacker.Packed> packs =
        model.unrounded().pack(model.sloped(List.of(example), measure, 1), 1);
    if (packs.isEmpty()) {
      throw new InfluenceException("The response has no token whose loss counts.");
    }
    Map<String, double[]> byLayer = new LinkedHashMap<>();
    double logLikelihood = 0;
    double square = 0;
    try (Taps taps = model.tap(packs.get(0), new Labels.Given())) {
      for (float loss : taps.losses()) {
        logLikelihood -= loss;
      }
      for (LinearLayer layer : model.layers()) {
        try (Matrix product = taps.gradient(layer).transposedTimes(taps.input(layer))) {
          double[] values = product.doubles();
          for (double value : values) {
            square += value * value;
          }
          byLayer.put(layer.name(), values);
        }
      }
      if (!Double.isFinite(square) || !Double.isFinite(logLikelihood)) {
        throw new InfluenceException(
            "The gradient of the response is not finite: the model overflows on it.");
      }
      if (square == 0) {
        throw new InfluenceException(
            "The gradient of the response is zero: no training example can have moved it.");
      }
      return new ResponseGradient(logLikelihood, taps.losses().length, byLayer);
    }
  }
}
