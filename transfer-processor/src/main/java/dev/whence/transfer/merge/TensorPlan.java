package dev.whence.transfer.merge;

import dev.whence.engine.weights.ElementType;
import java.util.List;

/**
 * What becomes of one tensor of the result.
 *
 * @param name in the result, as in the target
 * @param dtype in the result, as in the target
 * @param shape in the result; the target's, but for appended rows
 * @param treatment how its elements come about
 */
record TensorPlan(String name, String dtype, List<Long> shape, Treatment treatment) {

  long elements() {
    return shape.stream().reduce(1L, Math::multiplyExact);
  }

  /** Of the result. */
  long bytes() {
    if (treatment instanceof Merge || treatment instanceof MergeRows) {
      return Math.multiplyExact(elements(), (long) ElementType.valueOf(dtype).bytes());
    }
    SourceModel.Tensor target =
        treatment instanceof Keep keep ? keep.target() : ((KeepEqual) treatment).target();
    return target.entry().byteLength();
  }

  /** How the elements of a tensor come about. */
  sealed interface Treatment {
    /** The tensors that are read for it. */
    List<SourceModel.Tensor> reads();
  }

  /** {@code T + lambda (F - B)}, element by element. */
  record Merge(SourceModel.Tensor target, SourceModel.Tensor base, SourceModel.Tensor fineTuned)
      implements Treatment {
    @Override
    public List<SourceModel.Tensor> reads() {
      return List.of(target, base, fineTuned);
    }
  }

  /** The same, where rows belong together by their tokens. */
  record MergeRows(
      SourceModel.Tensor target, SourceModel.Tensor base, SourceModel.Tensor fineTuned, RowMap rows)
      implements Treatment {
    @Override
    public List<SourceModel.Tensor> reads() {
      return List.of(target, base, fineTuned);
    }
  }

  /** The target's bytes, for a reason. */
  record Keep(SourceModel.Tensor target, String reason) implements Treatment {
    @Override
    public List<SourceModel.Tensor> reads() {
      return List.of(target);
    }
  }

  /**
   * The target's bytes, no floating point numbers: base and fine-tuned must have the same bytes,
   * else fine-tuning changed something that can not be carried over.
   */
  record KeepEqual(SourceModel.Tensor target, SourceModel.Tensor base, SourceModel.Tensor fineTuned)
      implements Treatment {
    @Override
    public List<SourceModel.Tensor> reads() {
      return List.of(target, base, fineTuned);
    }
  }

  /** In words, for the dry run. */
  String policy() {
    if (treatment instanceof Merge merge) {
      String types = merge.base().dtype() + " " + merge.fineTuned().dtype();
      return "merge"
          + (types.equals(dtype + " " + dtype) ? "" : " (" + types + " to " + dtype + ")")
          + (merge.base().name().equals(name) ? "" : ", from " + merge.base().name());
    }
    if (treatment instanceof MergeRows merge) {
      return "merge rows by token: "
          + merge.rows().merged()
          + " merged, "
          + (merge.rows().rows() - merge.rows().merged() - merge.rows().appended())
          + " the target's, "
          + merge.rows().appended()
          + " appended";
    }
    return treatment instanceof Keep keep
        ? "keep the target's: " + keep.reason()
        : "keep the target's, if base and fine-tuned are equal";
  }
}
