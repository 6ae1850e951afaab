package dev.whence.engine.kernel;

import ai.djl.Device;
import ai.djl.MalformedModelException;
import ai.djl.Model;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.engine.PtNDManager;
import ai.djl.pytorch.engine.PtSymbolBlock;
import ai.djl.pytorch.jni.IValue;
import ai.djl.pytorch.jni.IValueUtils;
import ai.djl.pytorch.jni.JniUtils;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import java.io.IOException;
import java.io.InputStream;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.locks.Lock;

/**
 * A compiled kernel text on a device: calls its methods, and says whose fault a failure is. Tensors
 * are held as {@link IValue}s throughout, since DJL's arrays know no bf16; whoever receives one
 * closes it.
 */
final class Kernel implements AutoCloseable {
  /**
   * What the allocators of CPU and CUDA, and CUDA's libraries, say when memory does not suffice.
   */
  private static final List<String> OUT_OF_MEMORY =
      List.of(
          "out of memory",
          "can't allocate memory",
          "not enough memory",
          "bad_alloc",
          "_status_alloc_failed");

  /**
   * After these errors of CUDA every further call in the same process fails: those of which the
   * CUDA runtime's error list says that the process must be terminated and relaunched, as libtorch
   * quotes them, and what its libraries say of a launch that failed so.
   */
  private static final List<String> CONTEXT_LOST =
      List.of(
          "illegal memory access",
          "device-side assert",
          "unspecified launch failure",
          "misaligned address",
          "illegal instruction",
          "invalid program counter",
          "hardware stack error",
          "uncorrectable ecc error",
          "launch timed out",
          "global/shared address space",
          "uncorrectable nvlink error",
          "context is destroyed",
          "_status_execution_failed");

  private final Model model;
  private final PtSymbolBlock block;
  private final PtNDManager host;
  private final Device device;

  private Kernel(Model model, Device device) {
    this.model = model;
    this.block = (PtSymbolBlock) model.getBlock();
    this.host = (PtNDManager) model.getNDManager().newSubManager(Device.cpu());
    this.device = device;
  }

  /** Compiles a text. */
  static Kernel load(KernelText text, Device device) {
    Model model = Model.newInstance("decoder", device, "PyTorch");
    try (InputStream archive = text.archive()) {
      model.load(archive, Map.of());
      return new Kernel(model, device);
    } catch (IOException | MalformedModelException | RuntimeException e) {
      model.close();
      throw new EngineException(
          Kind.ENVIRONMENT, "The native library does not compile the kernel text.", e);
    }
  }

  /** Where arrays of the device live until the kernel is closed. */
  PtNDManager manager() {
    return (PtNDManager) model.getNDManager();
  }

  /**
   * Calls a method with autograd on: tensors that were made by {@link #call} can not be trained,
   * nor saved for the way back. Arguments stay the caller's.
   *
   * @param scope holds what comes back for as long as it is read
   * @return the one fp32 tensor that the method returns
   */
  float[] train(PtNDManager scope, String method, NDList arguments) {
    try (NDList result = trainForAll(scope, method, arguments)) {
      return result.singletonOrThrow().toType(DataType.FLOAT32, false).toFloatArray();
    }
  }

  /**
   * As {@link #train}.
   *
   * @return all tensors that the method returns, held by {@code scope}
   */
  NDList trainForAll(PtNDManager scope, String method, NDList arguments) {
    NDArray name = scope.create(0);
    name.setName("module_method:" + method);
    NDList all = new NDList(name);
    all.addAll(arguments);
    Lock running = TorchRuntime.beginCall();
    boolean before = JniUtils.isGradMode(); // of this thread; off where the engine was started
    try {
      JniUtils.setGraphExecutorOptimize(false);
      JniUtils.setGradMode(true);
      return IValueUtils.forward(block, all, true);
    } catch (RuntimeException e) {
      throw translate(e);
    } finally {
      JniUtils.setGradMode(before);
      running.unlock();
    }
  }

  boolean onGpu() {
    return device.isGpu();
  }

  /** "cpu" or "cuda:N", as the native library names it. */
  String deviceName() {
    return device.isGpu() ? "cuda:" + device.getDeviceId() : "cpu";
  }

  /**
   * Calls a method. The caller closes arguments and result.
   *
   * @throws EngineException of kind RECORD: not enough memory (see {@link #ranOutOfMemory});
   *     ENVIRONMENT: the device
   */
  IValue call(String method, IValue... arguments) {
    // The setting belongs to the thread. Shapes differ from pack to pack: specialising on them
    // would compile again and again.
    Lock running = TorchRuntime.beginCall();
    try {
      JniUtils.setGraphExecutorOptimize(false);
      return IValueUtils.runMethod(block, method, arguments);
    } catch (RuntimeException e) {
      throw translate(e);
    } finally {
      running.unlock();
    }
  }

  /**
   * What a failure of the native library means. Memory that does not suffice is this input's fault,
   * after {@link DecoderMemory} has freed what it can and tried smaller packs: others may fit (and
   * if several in a row do not, the worker takes it for the environment's). A lost CUDA context is
   * the environment's, and no further try in this process can go through.
   */
  static EngineException translate(RuntimeException failure) {
    if (isOutOfMemory(failure)) {
      return EngineException.outOfMemory(
          "The device ran out of memory: lower the token budget of a pack, use bf16, or free"
              + " memory on the device.",
          failure);
    }
    if (says(failure, CONTEXT_LOST)) {
      return EngineException.deviceLost(
          "CUDA can not be used by this process any more, since a kernel failed on the device:"
              + " restart the process; if it happens again, check the GPU and its driver, or use"
              + " --device cpu.",
          failure);
    }
    return new EngineException(
        Kind.ENVIRONMENT, "The native library failed in the model's forward.", failure);
  }

  /** Whether memory did not suffice for what failed. */
  static boolean ranOutOfMemory(EngineException failure) {
    return failure.getCause() instanceof RuntimeException cause && isOutOfMemory(cause);
  }

  private static boolean isOutOfMemory(RuntimeException failure) {
    return says(failure, OUT_OF_MEMORY);
  }

  private static boolean says(RuntimeException failure, List<String> phrases) {
    String message = String.valueOf(failure.getMessage()).toLowerCase(Locale.ROOT);
    return phrases.stream().anyMatch(message::contains);
  }

  /** Gives memory back to the device that CUDA's caching allocator holds without need. */
  void emptyCache() {
    if (device.isGpu()) {
      JniUtils.emptyCudaCache();
    }
  }

  /** An uninitialised tensor on the device. */
  IValue allocate(Precision precision, long... shape) {
    try (IValue size = IValue.listFrom(shape);
        IValue type = IValue.from((long) precision.code());
        IValue place = IValue.from(deviceName())) {
      return call("allocate", size, type, place);
    }
  }

  /** A tensor of one value, for measuring. */
  IValue constant(Precision precision, double value, long... shape) {
    try (IValue empty = allocate(precision, shape);
        IValue number = IValue.from(value)) {
      return call("constant", empty, number);
    }
  }

  /**
   * Copies raw elements into a tensor.
   *
   * @param bytes direct buffer, position to limit
   */
  void fill(IValue target, long firstElement, ByteBuffer bytes, int storedCode) {
    // The array is a view of the buffer, whose memory must outlive it.
    try (PtNDArray raw = host.create(bytes, new Shape(bytes.remaining()), DataType.UINT8);
        IValue source = IValue.from(raw);
        IValue at = IValue.from(firstElement);
        IValue type = IValue.from((long) storedCode)) {
      call("fill", target, at, source, type).close();
    } finally {
      Reference.reachabilityFence(bytes);
    }
  }

  /** One list of tensors; closes the tensors, which the list keeps alive. */
  IValue list(List<IValue> tensors) {
    PtNDArray[] arrays = new PtNDArray[tensors.size()];
    try {
      for (int i = 0; i < arrays.length; i++) {
        arrays[i] = tensors.get(i).toTensor(host);
      }
      return IValue.listFrom(arrays);
    } finally {
      for (int i = 0; i < arrays.length; i++) {
        if (arrays[i] != null) {
          arrays[i].close();
        }
        tensors.get(i).close();
      }
    }
  }

  /** A matrix that was returned; closes the value. */
  Matrix matrix(IValue value) {
    try (value) {
      return new Matrix(this, value.toTensor(host));
    }
  }

  /** Holds what comes back from calls until the kernel is closed. */
  PtNDManager host() {
    return host;
  }

  /** An fp32 result; closes it. */
  float[] floats(IValue value) {
    try (value;
        PtNDArray array = value.toTensor(host)) {
      return array.toFloatArray();
    } catch (RuntimeException e) {
      throw translate(e);
    }
  }

  /** An fp64 result; closes it. */
  double[] doubles(IValue value) {
    try (value;
        PtNDArray array = value.toTensor(host)) {
      return array.toDoubleArray();
    } catch (RuntimeException e) {
      throw translate(e);
    }
  }

  /** An int64 result; closes it. */
  long[] longs(IValue value) {
    try (value;
        PtNDArray array = value.toTensor(host)) {
      return array.toLongArray();
    } catch (RuntimeException e) {
      throw translate(e);
    }
  }

  @Override
  public void close() {
    host.close();
    model.close();
  }
}
