package dev.whence.transfer.merge;

import dev.whence.engine.EngineException;
import dev.whence.engine.weights.SafetensorsFile;
import dev.whence.engine.weights.SafetensorsShards;
import dev.whence.transfer.TransferException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * The models on the straight way to a transferred model M, for linear connectivity:
 *
 * <pre>
 * P(a) = (1 - a) B + a T + lambda (F - B),   a from 0 to 1,   P(1) = M
 *      = M + (1 - a) (F - M)                 for lambda = 1, P(0) = F bit for bit where F has T's type
 *      = M + (1 - a) (B - T)                 for another lambda
 * </pre>
 *
 * as merges of their own, with 1 - a for lambda. Only weights move: every point has M's layout and
 * M's texts, byte for byte, so that all losses are of one function; a = 0 is F's weights in the
 * release's config, tokenizer and template. Which tensors and rows belong together is what the
 * transfer's own plan says, so names, tied heads and token rows go the way that they went into M.
 * What that plan keeps as the target has it does not move.
 *
 * <p>Cost: that of a merge, which reads M and one or two of the transfer's models.
 */
public final class StraightWay {
  private final boolean fromFineTuned;
  private final Map<Role, SourceModel> models;

  private StraightWay(boolean fromFineTuned, Map<Role, SourceModel> models) {
    this.fromFineTuned = fromFineTuned;
    this.models = models;
  }

  /**
   * Plans some points.
   *
   * @param request the transfer, with one lambda
   * @param merged what came of it, M
   * @param left of the way, {@code 1 - a}, for each point
   * @throws TransferException if M is not what the request gives, or a model can not be read
   */
  public static TransferPlan plan(TransferRequest request, Path merged, List<Double> left) {
    boolean fromFineTuned = request.lambdas().equals(List.of(1.));
    TransferRequest.Input m = TransferRequest.Input.of(merged);
    TransferRequest points =
        new TransferRequest(
            /* base= */ fromFineTuned ? m : request.target(),
            /* fineTuned= */ fromFineTuned ? request.fineTuned() : request.base(),
            /* target= */ m,
            left,
            request.policies());
    Map<Role, SourceModel> models = new EnumMap<>(Role.class);
    try (TransferPlan transfer = TransferPlan.of(request)) {
      open(models, Role.BASE, points.base());
      open(models, Role.FINE_TUNED, points.fineTuned());
      open(models, Role.TARGET, points.target());
      return new StraightWay(fromFineTuned, models).plan(transfer, points);
    } catch (RuntimeException e) {
      models.values().forEach(SourceModel::close);
      throw e;
    }
  }

  private static void open(Map<Role, SourceModel> models, Role role, TransferRequest.Input input) {
    try {
      models.put(role, SourceModel.open(role, input.directory(), input.digest()));
    } catch (EngineException e) {
      throw new TransferException(input.directory() + ": " + e.getMessage(), e);
    }
  }

  private TransferPlan plan(TransferPlan transfer, TransferRequest points) {
    List<TransferPlan.Shard> shards = new ArrayList<>();
    Set<SourceModel.Tensor> read = new HashSet<>();
    for (TransferPlan.Shard shard : transfer.shards()) {
      List<TensorPlan> tensors = shard.tensors().stream().map(this::onTheWay).toList();
      tensors.forEach(tensor -> read.addAll(tensor.treatment().reads()));
      shards.add(new TransferPlan.Shard(shard.fileName(), tensors));
    }
    List<SourceModel.Tensor> unused =
        Stream.of(Role.BASE, Role.FINE_TUNED)
            .flatMap(role -> model(role).tensors().values().stream())
            .filter(tensor -> !read.contains(tensor))
            .filter(tensor -> !SafetensorsShards.isBuffer(tensor.name()))
            .toList();
    Map<String, byte[]> texts = model(Role.TARGET).texts(ReleaseTexts.READ);
    return new TransferPlan(points, models, shards, unused, List.of(), texts);
  }

  private TensorPlan onTheWay(TensorPlan of) {
    SourceModel.Tensor m = tensor(Role.TARGET, of.name());
    if (!m.dtype().equals(of.dtype()) || !m.shape().equals(of.shape())) {
      throw altered(of.name());
    }
    TensorPlan.Treatment treatment = new TensorPlan.Keep(m, "no part of the way");
    if (of.treatment() instanceof TensorPlan.Merge merge) {
      treatment =
          new TensorPlan.Merge(
              m, tensor(Role.BASE, of.name()), begin(merge.base(), merge.fineTuned()));
    } else if (of.treatment() instanceof TensorPlan.MergeRows merge) {
      RowMap rows = merge.rows();
      int[] own = IntStream.range(0, rows.rows()).toArray();
      treatment =
          new TensorPlan.MergeRows(
              m,
              tensor(Role.BASE, of.name()),
              begin(merge.base(), merge.fineTuned()),
              new RowMap(
                  /* target= */ own,
                  /* base= */ fromFineTuned ? own : rows.target(),
                  /* fineTuned= */ inAll(rows, fromFineTuned ? rows.fineTuned() : rows.base())));
    }
    return new TensorPlan(of.name(), of.dtype(), of.shape(), treatment);
  }

  /** Rows of tokens that one of the models lacks are kept by the transfer, and stand still. */
  private static int[] inAll(RowMap rows, int[] begin) {
    int[] moved = begin.clone();
    for (int row = 0; row < moved.length; row++) {
      if (rows.target()[row] == RowMap.NONE
          || rows.base()[row] == RowMap.NONE
          || rows.fineTuned()[row] == RowMap.NONE) {
        moved[row] = RowMap.NONE;
      }
    }
    return moved;
  }

  /** Where a tensor's way begins: F's, or B's, whose name need not be the result's. */
  private SourceModel.Tensor begin(SourceModel.Tensor base, SourceModel.Tensor fineTuned) {
    return tensor(Role.FINE_TUNED, (fromFineTuned ? fineTuned : base).name());
  }

  private SourceModel model(Role role) {
    return Objects.requireNonNull(models.get(role));
  }

  private SourceModel.Tensor tensor(Role role, String name) {
    SourceModel.Tensor found = model(role).tensors().get(name);
    if (found == null) {
      throw altered(name);
    }
    return found;
  }

  private TransferException altered(String name) {
    return new TransferException(
        "'"
            + SafetensorsFile.printable(name)
            + "' is not what the transfer to "
            + model(Role.TARGET).directory()
            + " read or wrote: a model was changed since; transfer again when all are at rest");
  }
}
