package dev.whence.runtime.health;

import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.binder.jvm.JvmGcMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmMemoryMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmThreadMetrics;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Supplier;

/**
 * Metrics of the process as a whole. The model's tensors live outside the heap, so the resident set
 * is what tells a leak.
 */
public final class ProcessMetrics implements AutoCloseable {
  private static final Path STATUS = Path.of("/proc/self/status");

  private final JvmGcMetrics gc = new JvmGcMetrics();

  public ProcessMetrics(MeterRegistry registry) {
    new JvmMemoryMetrics().bindTo(registry);
    new JvmThreadMetrics().bindTo(registry);
    gc.bindTo(registry);
    if (Files.isReadable(STATUS)) {
      Gauge.builder("whence.process.resident", ProcessMetrics::residentBytes)
          .description("memory of the process, heap and native")
          .baseUnit("bytes")
          .register(registry);
    }
  }

  /** Adds a gauge of the memory that native code holds, in bytes. */
  public static void nativeMemory(MeterRegistry registry, Supplier<Number> bytes) {
    Gauge.builder("whence.native.memory", bytes)
        .description("memory held by the model engine")
        .baseUnit("bytes")
        .register(registry);
  }

  private static double residentBytes() {
    try {
      for (String line : Files.readAllLines(STATUS)) {
        if (line.startsWith("VmRSS:")) {
          return 1024.0 * Long.parseLong(line.replaceAll("\\D+", ""));
        }
      }
    } catch (IOException | NumberFormatException e) {
      // A gauge that can not be read has no value.
    }
    return Double.NaN;
  }

  @Override
  public void close() {
    gc.close();
  }
}
