package dev.whence.samples;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.training.TrainedModel;
import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.engine.weights.SafetensorsWriter;
import dev.whence.engine.weights.TensorInfo;
import dev.whence.engine.weights.WeightSource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * A model with its hidden units in another order: it computes the same function, but none of its
 * numbers stands where the model's stands. Two models that were trained from different first values
 * differ like that at least (Entezari et al. 2022, Ainsworth et al. 2023): a difference between two
 * reordered models is one of an unrelated base, which no other base can take.
 *
 * <p>Of a decoder of the Llama family with RMS norms, whose residual stream has d units, the order
 * of the d changes in everything that writes to the stream (the rows of o_proj and down_proj) and
 * in everything that reads it (the columns of all other matrices, the embeddings among them, and
 * the norms). A norm over a head has no unit of the stream.
 */
public final class ReorderedModel {
  private ReorderedModel() {}

  /**
   * Writes the reordered model, with the same tokenizer and configuration.
   *
   * @param model directory of a model of the Llama family
   * @param seed of the order: the same for two models, and they are reordered alike
   * @throws EngineException of kind MODEL if the model is of another family, is compressed, or has
   *     biases in its layers; as {@link TrainedModel#filesOf} and {@link SafetensorsWriter#write}
   */
  public static void write(Path model, long seed, Path output) {
    try (ModelFiles files = ModelFiles.open(model)) {
      if (files.config().isGptNeoX()) {
        throw new EngineException(
            Kind.MODEL, model + " is GPT-NeoX shaped: its norms have a bias and a mean.");
      }
      if (files.config().isFactored()) {
        throw new EngineException(
            Kind.MODEL, model + " is compressed: the columns of its second factors are ranks.");
      }
      if (files.config().qkvBias() || files.config().mlpBias()) {
        throw new EngineException(
            Kind.MODEL,
            model
                + " has biases of queries, keys and values or of the MLP, which are of other units.");
      }
      int[] order = order(files.config().hiddenSize(), seed);
      List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
      ElementType stored = ElementType.F16;
      for (Map.Entry<String, TensorInfo> entry : files.weights().tensors().entrySet()) {
        stored = entry.getValue().type();
        tensors.add(reordered(files.weights(), entry.getKey(), entry.getValue(), order));
      }
      Files.createDirectories(output);
      for (Map.Entry<String, byte[]> text : TrainedModel.filesOf(model).entrySet()) {
        TrainedModel.put(output, text.getKey(), text.getValue());
      }
      SafetensorsWriter.write(output.resolve("model.safetensors"), stored, tensors, Map.of());
    } catch (IOException e) {
      throw new EngineException(Kind.ENVIRONMENT, output + " could not be written.", e);
    }
  }

  private static int[] order(int hidden, long seed) {
    int[] order = new int[hidden];
    SplittableRandom random = new SplittableRandom(seed);
    for (int i = 0; i < hidden; i++) {
      int j = random.nextInt(i + 1);
      order[i] = order[j];
      order[j] = i;
    }
    return order;
  }

  private static SafetensorsWriter.Tensor reordered(
      WeightSource weights, String name, TensorInfo info, int[] order) {
    List<Long> shape = info.shape();
    float[] values = floats(weights, name, info);
    int columns = Math.toIntExact(shape.get(shape.size() - 1));
    boolean writes = name.endsWith("o_proj.weight") || name.endsWith("down_proj.weight");
    boolean perHead = name.endsWith("q_norm.weight") || name.endsWith("k_norm.weight");
    float[] moved = new float[values.length];
    for (int at = 0; at < values.length; at++) {
      int row = at / columns;
      int column = at % columns;
      int from =
          perHead ? at : writes ? order[row] * columns + column : row * columns + order[column];
      moved[at] = values[from];
    }
    return new SafetensorsWriter.Tensor(
        name, shape, (offset, n) -> Arrays.copyOfRange(moved, (int) offset, (int) offset + n));
  }

  private static float[] floats(WeightSource weights, String name, TensorInfo info) {
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.toIntExact(info.byteLength())).order(ByteOrder.LITTLE_ENDIAN);
    weights.read(name, 0, bytes);
    bytes.flip();
    float[] values = new float[Math.toIntExact(info.elements())];
    for (int i = 0; i < values.length; i++) {
      values[i] = info.type().next(bytes);
    }
    return values;
  }
}
