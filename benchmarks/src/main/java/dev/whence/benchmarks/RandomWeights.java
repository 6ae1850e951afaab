package dev.whence.benchmarks;

import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.ExpectedTensors;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.TensorInfo;
import dev.whence.engine.weights.WeightSource;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;

/**
 * Weights of a model that nobody trained, for timing only: uniform, scaled so that activations
 * neither vanish nor overflow; norms are 1, biases 0. Each element is computed from its name and
 * place when it is read, so that a large model needs no room besides the loaded one.
 */
public final class RandomWeights implements WeightSource {
  private static final long GOLDEN_GAMMA = 0x9e3779b97f4a7c15L;

  private final Map<String, TensorInfo> infos = new TreeMap<>();

  public RandomWeights(ModelConfig config) {
    ExpectedTensors.of(config)
        .forEach((name, shape) -> infos.put(name, new TensorInfo(name, ElementType.F32, shape)));
  }

  @Override
  public Map<String, TensorInfo> tensors() {
    return infos;
  }

  @Override
  public void read(String name, long offset, ByteBuffer target) {
    List<Long> shape = Objects.requireNonNull(infos.get(name), name).shape();
    // Uniform numbers in [-b, b) have the variance b^2 / 3; that of 1 over the inputs is wanted.
    double bound = shape.size() == 2 ? Math.sqrt(3.0 / shape.get(1)) : 0;
    float rest = name.endsWith(".bias") ? 0 : 1;
    long place = ((long) name.hashCode() << 32) + offset / Float.BYTES;
    target.order(ByteOrder.LITTLE_ENDIAN);
    while (target.hasRemaining()) {
      target.putFloat(shape.size() == 2 ? (float) (bound * unit(place++)) : rest);
    }
  }

  /** A number in [-1, 1) that looks random (the finaliser of SplitMix64). */
  private static double unit(long place) {
    long z = place * GOLDEN_GAMMA;
    z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
    return ((z ^ (z >>> 31)) >> 11) * 0x1p-52;
  }

  @Override
  public void close() {}
}
