/**
 * The computing half of the engine: decoders as TorchScript text, run by libtorch.
 *
 * <p>{@link dev.whence.engine.kernel.Decoder} is the door. It loads weights in the layout that the
 * kernel text wants ({@code WeightLayout}, {@code DecoderWeights}), and runs {@code Pack}s: own
 * tokens of many branches, of which the linear layers see one large matrix, while attention goes
 * block by block over what each block may see ({@code AttentionPlan}). The kernel texts are the
 * resources beside this package: {@code shared.torchscript.txt} (storage, linear layers), {@code
 * branches.torchscript.txt} (attention, log-probabilities) and one per family. {@code KernelText}
 * makes an archive of them at run time.
 */
package dev.whence.engine.kernel;
