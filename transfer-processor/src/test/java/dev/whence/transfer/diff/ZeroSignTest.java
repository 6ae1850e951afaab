package dev.whence.transfer.diff;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.engine.weights.ElementType;
import dev.whence.files.FileTree;
import dev.whence.transfer.merge.MergeOptions;
import dev.whence.transfer.merge.MergeProgress;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.ModelFolder;
import dev.whence.transfer.merge.TransferPlan;
import dev.whence.transfer.merge.TransferRequest;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;

/**
 * Numbers of which all sums are exact in every type (eighths up to 4), both zeros often among them:
 * then base, diff and fine-tuned model are three views of the same, and each follows from the other
 * two bit for bit. The merge engine, which never stores a difference, is the oracle where target
 * and base differ.
 */
class ZeroSignTest {
  private static final String TENSOR = "model.layers.0.a";
  private static final int SIZE = 200;

  private static double[] values(Random random, double[] like) {
    double[] values = new double[SIZE];
    for (int i = 0; i < SIZE; i++) {
      values[i] =
          switch (random.nextInt(5)) {
            case 0 -> 0.;
            case 1 -> -0.;
            case 2 -> like[i];
            case 3 -> -like[i];
            default -> (random.nextInt(65) - 32) / 8.;
          };
    }
    return values;
  }

  private static Path write(Path directory, ElementType type, double[] values) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(SIZE * type.bytes()).order(ByteOrder.LITTLE_ENDIAN);
    for (double value : values) {
      switch (type) {
        case F32 -> bytes.putFloat((float) value);
        case BF16 -> bytes.putShort((short) (Float.floatToRawIntBits((float) value) >>> 16));
        case F16 -> bytes.putShort(f16(value));
      }
    }
    return new ModelFolder()
        .add(new ModelFolder.Raw(TENSOR, type.name(), List.of((long) SIZE), bytes.array()))
        .write(directory);
  }

  /** Of eighths up to 4, all of which are normal numbers with at most five bits. */
  private static short f16(double value) {
    int sign = Double.doubleToRawLongBits(value) < 0 ? 0x8000 : 0;
    if (value == 0) {
      return (short) sign;
    }
    int exponent = Math.getExponent(value);
    double fraction = Math.abs(value) / Math.scalb(1., exponent) - 1;
    return (short) (sign | (exponent + 15) << 10 | (int) (fraction * 1024));
  }

  private static ElementType type(Random random) {
    List<ElementType> types = List.of(ElementType.values());
    return types.get(random.nextInt(types.size()));
  }

  private static void apply(Path model, Path output, DiffApplication.Weighted... diffs) {
    DiffApplication.apply(model, List.of(diffs), output);
  }

  private static DiffApplication.Weighted plus(Path diff) {
    return new DiffApplication.Weighted(diff, 1);
  }

  private static DiffApplication.Weighted minus(Path diff) {
    return new DiffApplication.Weighted(diff, -1);
  }

  /** Something that is done in a directory of its own. */
  private interface Body {
    void in(Path directory) throws IOException;
  }

  private static void inDirectory(Body body) throws IOException {
    Path directory = Files.createTempDirectory("zero-sign");
    try {
      body.in(directory);
    } finally {
      FileTree.delete(directory);
    }
  }

  @Property(tries = 25)
  void applyingIsWhatTheMergeEngineDoesAndTakingOutIsTheWayBack(@ForAll long seed)
      throws IOException {
    inDirectory(
        directory -> {
          Random random = new Random(seed);
          ElementType type = type(random);
          double[] zeros = new double[SIZE];
          double[] b = values(random, zeros);
          Path base = write(directory.resolve("b"), type, b);
          Path fineTuned = write(directory.resolve("f"), type, values(random, b));
          Path target = write(directory.resolve("t"), type, values(random, b));
          Path diff = directory.resolve("diff");
          assertThat(DiffExtraction.extract(base, fineTuned, diff))
              .isEqualTo(new DiffExtraction.Extracted(SIZE, 0, 0, 0));

          apply(base, directory.resolve("there"), plus(diff));
          assertThat(ModelFolder.values(directory.resolve("there")))
              .isEqualTo(ModelFolder.values(fineTuned));
          apply(fineTuned, directory.resolve("back"), minus(diff));
          assertThat(ModelFolder.values(directory.resolve("back")))
              .isEqualTo(ModelFolder.values(base));

          apply(target, directory.resolve("applied"), plus(diff));
          try (TransferPlan plan = TransferPlan.of(TransferRequest.of(base, fineTuned, target))) {
            MergeRun.run(
                plan,
                directory.resolve("merged"),
                MergeOptions.defaults().withMemoryBytes(1 << 20).notDurable(),
                MergeProgress.NONE);
          }
          assertThat(ModelFolder.values(directory.resolve("applied")))
              .isEqualTo(ModelFolder.values(directory.resolve("merged")));
        });
  }

  @Property(tries = 25)
  void aComposedDiffLeadsWhereItsPartsLeadOneAfterTheOtherAndBack(
      @ForAll @LongRange(min = 0) long seed, @ForAll @IntRange(min = 1, max = 3) int parts)
      throws IOException {
    inDirectory(
        directory -> {
          Random random = new Random(seed);
          List<Path> models = new ArrayList<>();
          List<DiffApplication.Weighted> way = new ArrayList<>();
          double[] last = values(random, new double[SIZE]);
          models.add(write(directory.resolve("0"), ElementType.F32, last));
          for (int k = 1; k <= parts; k++) {
            double[] next = values(random, last);
            Path model = write(directory.resolve("" + k), ElementType.F32, next);
            Path diff = directory.resolve("diff-" + k);
            if (random.nextBoolean()) {
              DiffExtraction.extract(models.get(k - 1), model, diff);
              way.add(plus(diff));
            } else {
              DiffExtraction.extract(model, models.get(k - 1), diff);
              way.add(minus(diff));
            }
            models.add(model);
            last = next;
          }
          Path first = models.get(0);
          Path end = models.get(parts);

          DiffApplication.apply(first, way, directory.resolve("at-once"));
          assertThat(ModelFolder.values(directory.resolve("at-once")))
              .isEqualTo(ModelFolder.values(end));
          Path composed = directory.resolve("composed");
          DiffApplication.compose(way, composed);
          apply(first, directory.resolve("there"), plus(composed));
          assertThat(ModelFolder.values(directory.resolve("there")))
              .isEqualTo(ModelFolder.values(end));
          apply(end, directory.resolve("back"), minus(composed));
          assertThat(ModelFolder.values(directory.resolve("back")))
              .isEqualTo(ModelFolder.values(first));
        });
  }
}
